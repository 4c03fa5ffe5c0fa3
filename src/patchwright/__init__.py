"""Patchwright: patch management you host yourself, that speaks AWS Systems Manager."""

__version__ = "0.1.0"
