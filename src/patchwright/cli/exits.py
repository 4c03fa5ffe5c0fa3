"""Exit codes of the command line. Source: decisions.md 31."""

OK = 0
ERROR = 1
NOT_COMPLIANT = 2
"""Not compliant, or: would change something."""
USAGE = 64


class Failed(Exception):
    """A command can't do what it was asked for; the text says why and what to do. `code` is its exit code."""

    def __init__(self, message: str, code: int = ERROR) -> None:
        super().__init__(message)
        self.code = code
