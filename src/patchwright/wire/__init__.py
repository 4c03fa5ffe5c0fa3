"""Bytes to checked values and back: service models, parsing, validation, rendering, signatures and tokens.

This room knows the shapes of the protocol and nothing about patches; it imports nothing else of ours.
"""
