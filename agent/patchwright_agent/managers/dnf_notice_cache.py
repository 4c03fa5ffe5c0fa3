"""The texts of notices that were read once: a repository's file of tens of megabytes is read again when it changed.

dnf names metadata files by their checksums, so a path is the key. The cache is a convenience: whatever is wrong with
it, the repository's file is read.
"""

import json
import os
import re
from typing import Any, Callable, Dict, Set

from patchwright_agent.managers.model import Notice

_MAX_BYTES = 64 * 1024 * 1024
_BY_CHECKSUM = re.compile(r"/[0-9a-f]{32,128}-[^/]+\Z")

Reader = Callable[[str, Set[str]], Dict[str, Notice]]


class NoticeCache:
    """Reads notices through `reader`; what was found is kept in the file `path` ("" keeps nothing)."""

    def __init__(self, path: str, reader: Reader) -> None:
        self._path = path
        self._reader = reader
        self._before = self._kept()
        self._now = {}  # type: Dict[str, Any]

    def read(self, path: str, wanted: Set[str]) -> Dict[str, Notice]:
        """The wanted notices of a repository's file."""
        kept = self._before.get(path)
        if kept is None or not wanted.issubset(kept["asked"]):
            found = self._reader(path, wanted)
            kept = {"asked": sorted(wanted), "notices": [list(notice) for notice in found.values()]}
        if _BY_CHECKSUM.search(path):
            self._now[path] = kept
        notices = [Notice(*row[:5], cves=tuple(row[5]), bugzillas=tuple(row[6])) for row in kept["notices"]]
        return {notice.id: notice for notice in notices if notice.id in wanted}

    def save(self) -> None:
        """Keep what was read now, in place of what was kept before; nothing is written if that is the same."""
        if not self._path or self._now == self._before:
            return
        temporary = "%s.%d" % (self._path, os.getpid())
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._now, file)
            os.replace(temporary, self._path)
        except OSError:  # a full disk must not keep a node from reporting
            _remove(temporary)

    def _kept(self) -> Dict[str, Any]:
        try:
            with open(self._path, "rb") as file:
                kept = json.loads(file.read(_MAX_BYTES).decode("utf-8"))
            return {path: entry for path, entry in kept.items() if _is_sound(entry)}
        except (OSError, ValueError, AttributeError):
            return {}


def _is_sound(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), list) for key in ("asked", "notices")):
        return False
    return all(isinstance(row, list) and len(row) == len(Notice._fields) for row in entry["notices"])


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
