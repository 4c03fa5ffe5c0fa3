"""One module for each AWS resource family: translate in, call, translate out."""
