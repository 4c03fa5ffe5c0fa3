"""What the worker writes: the report and its exit code on standard output, progress on standard error."""

import os
import sys

from patchwright_agent import text

# The agent keeps 24,000 characters of an output and list views show 2,500, so the report comes first and alone.
MAX_REPORT_CHARACTERS = 24000
MAX_MESSAGE_CHARACTERS = 2000

EXIT_SUCCESS = 0
EXIT_FAILURE = 1
EXIT_UNSUPPORTED_SYSTEM = 146  # Source of both: spec/patch-baselines.md 5.6
EXIT_UPLOAD_FAILED = 149
EXIT_USAGE = 64


def print_report(report: str) -> None:
    print(text.block(report, MAX_REPORT_CHARACTERS).rstrip("\n"), flush=True)


def tell(message: str) -> None:
    """A line for whoever reads the log."""
    print("patchwright-agent: " + text.field(message, MAX_MESSAGE_CHARACTERS), file=sys.stderr, flush=True)


def write_atomically(path: str, content: str) -> None:
    """Replace `path`: readers see the old content or the new, never half of it. Readable by its owner alone."""
    import tempfile  # not above: `facts` writes no file, and is quick without

    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
