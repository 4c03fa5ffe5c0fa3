"""Where a run is: written and made durable before each step, so that a worker that starts again knows.

    planned     a Plan is settled; nothing has been changed
    applying    the transaction may have begun
    applied     it has ended, and what came of it is kept here
    finished    the server has taken the report

Source: docs/reference/worker-protocol.md, Apply.
"""

import json
import os
import re
import shutil
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from patchwright_agent.managers.installer import Applied, Failure
from patchwright_agent.worker import report

PLANNED, APPLYING, APPLIED, FINISHED = "planned", "applying", "applied", "finished"
KEPT_RUNS = 20
MAX_BYTES = 16 * 1024 * 1024
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")  # becomes a file's name


class BadRunId(Exception):
    """The server's run id can't be a file's name."""


class Entry(NamedTuple):
    """`plan` as the server sent it, `settled_at` (epoch seconds of this host) when, `replanned`: it is the second Plan.

    `applied` is what came of the transaction (empty before); `boot_id` that of the boot which wrote the entry.
    """

    state: str
    plan: Mapping[str, Any]
    settled_at: float
    replanned: bool
    boot_id: str
    applied: Applied = Applied()


class RunJournal:
    """The journal of one run, and its folder for the manager's files. Raises BadRunId, OSError."""

    def __init__(self, state_dir: str, run_id: str) -> None:
        if not _RUN_ID.match(run_id):
            raise BadRunId("the server's run id cannot be used as a file's name")
        self._runs = os.path.join(state_dir, "runs")
        self._path = os.path.join(self._runs, run_id + ".json")
        self.folder = os.path.join(self._runs, run_id)

    def prepare(self) -> None:
        """Make the run's folder; forget runs of long ago."""
        for folder in (self._runs, self.folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            _sync(os.path.dirname(folder))
        _prune(self._runs, os.path.basename(self.folder))

    def read(self) -> Optional[Entry]:
        """The last entry; None if there is none, or a damaged one: then nothing is known."""
        try:
            with open(self._path, "rb") as file:
                return _entry(json.loads(file.read(MAX_BYTES).decode("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, entry: Entry) -> None:
        """Replace the entry, durably. Raises OSError; the old entry is whole then."""
        report.write_atomically(self._path, json.dumps(_members(entry)))
        _sync(self._runs)


def _sync(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _members(entry: Entry) -> Dict[str, Any]:
    applied = dict(entry.applied._asdict(), failures=[failure._asdict() for failure in entry.applied.failures])
    return dict(entry._asdict(), plan=dict(entry.plan), applied=applied)


def _entry(members: Any) -> Entry:
    applied = members["applied"]
    return Entry(
        state=str(members["state"]),
        plan=dict(members["plan"]),
        settled_at=float(members["settled_at"]),
        replanned=members["replanned"] is True,
        boot_id=str(members["boot_id"]),
        applied=Applied(
            tuple(Failure(str(f["name"]), str(f["arch"]), str(f["message"])) for f in applied["failures"]),
            tuple(str(note) for note in applied["notes"]),
            str(applied["problem_code"]),
            str(applied["message"]),
        ),
    )


def _prune(runs: str, current: str) -> None:
    """Remove all but the newest runs, and what they left."""
    names = sorted({name[:-5] if name.endswith(".json") else name for name in os.listdir(runs)} - {current})
    aged = sorted(names, key=lambda name: _moment(runs, name), reverse=True)
    for name in aged[KEPT_RUNS - 1 :]:
        shutil.rmtree(os.path.join(runs, name), ignore_errors=True)
        for path in _files(runs, name):
            os.unlink(path)


def _moment(runs: str, name: str) -> float:
    return max([os.stat(path).st_mtime for path in _files(runs, name)] or [0.0])


def _files(runs: str, name: str) -> List[str]:
    candidates = [os.path.join(runs, name + ".json"), os.path.join(runs, name)]
    return [path for path in candidates if os.path.isfile(path)]
