"""Exit codes of the command line. Source: decisions.md 31."""

OK = 0
ERROR = 1
NOT_COMPLIANT = 2
"""Not compliant, or: would change something."""
USAGE = 64
