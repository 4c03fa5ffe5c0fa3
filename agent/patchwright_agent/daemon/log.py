"""Lines for the journal of the service manager: one line each, no control characters, never a secret."""

import sys

from patchwright_agent import text

MAX_LINE_CHARACTERS = 600


def say(message: str) -> None:
    """Write one line to standard error. A reader that has gone away does not matter."""
    try:
        sys.stderr.write("patchwright-agent: %s\n" % text.field(message, MAX_LINE_CHARACTERS))
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
