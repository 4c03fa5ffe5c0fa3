"""Signed calls by model, for the command line and the console."""
