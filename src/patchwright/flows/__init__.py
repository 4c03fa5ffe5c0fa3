"""Load, decide, save: one verb each, inside the caller's transaction."""
