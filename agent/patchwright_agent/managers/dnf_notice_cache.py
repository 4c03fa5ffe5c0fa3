"""What was read of notices once: a repository's file of tens of megabytes is read again when it changed.

Kept are the texts of the wanted notices, and which packages they list. dnf names metadata files by their checksums, so
a path is the key. The cache is a convenience: whatever is wrong with it, the repository's file is read.
"""

import json
import os
import re
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from patchwright_agent.managers.model import Notice

_MAX_BYTES = 64 * 1024 * 1024
_BY_CHECKSUM = re.compile(r"/[0-9a-f]{32,128}-[^/]+\Z")

Reader = Callable[[str, Set[str]], Dict[str, Notice]]


class NoticeCache:
    """Reads notices through `reader`; what was found is kept in the file `path` ("" keeps nothing)."""

    def __init__(self, path: str, reader: Reader) -> None:
        self._path = path
        self.reader = reader
        self._before, self._listing_before = self._kept()
        self._now = {}  # type: Dict[str, Any]
        self._listing = {}  # type: Dict[str, Any]

    def read(self, path: str, wanted: Set[str]) -> Dict[str, Notice]:
        """The wanted notices of a repository's file."""
        kept = self._now.get(path) or self._before.get(path)
        if kept is None or not wanted.issubset(kept["asked"]):
            found = self.reader(path, wanted)
            kept = {"asked": sorted(wanted), "notices": [list(notice) for notice in found.values()]}
        if _BY_CHECKSUM.search(path):
            self._now[path] = kept
        notices = [Notice(*row[:5], cves=tuple(row[5]), bugzillas=tuple(row[6])) for row in kept["notices"]]
        return {notice.id: notice for notice in notices if notice.id in wanted}

    def unread(self, files: Sequence[str]) -> List[str]:
        """Those of the files of which nothing is kept."""
        return [path for path in files if path not in self._before]

    def may_know(self, files: Sequence[str]) -> bool:
        """Whether it is known what these files list, of packages that are still to be named."""
        return self._listing_before.get("files") == list(files)

    def listed(self, files: Sequence[str], key: str) -> Optional[List[List[Any]]]:
        """What `keep_listed` was given for the same files and the same key; None if it is not known."""
        kept = self._listing_before
        if kept.get("files") != list(files) or kept["key"] != key:
            return None
        self._listing = kept
        return list(kept["rows"])

    def keep_listed(self, files: Sequence[str], key: str, rows: List[List[Any]]) -> None:
        """Keep which packages the files' notices list. `key` stands for all else that this depends on."""
        if all(_BY_CHECKSUM.search(path) for path in files):
            self._listing = {"files": list(files), "key": key, "rows": rows}

    def save(self) -> None:
        """Keep what was read now, in place of what was kept before; nothing is written if that is the same."""
        if not self._path or (self._now, self._listing) == (self._before, self._listing_before):
            return
        temporary = "%s.%d" % (self._path, os.getpid())
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps({"files": self._now, "listing": self._listing}, separators=(",", ":")))
            os.replace(temporary, self._path)
        except OSError:  # a full disk must not keep a node from reporting
            _remove(temporary)

    def _kept(self) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        try:
            with open(self._path, "rb") as file:
                kept = json.loads(file.read(_MAX_BYTES).decode("utf-8"))
            files = {path: entry for path, entry in kept["files"].items() if _is_sound(entry)}
            return files, kept["listing"] if _is_sound_listing(kept["listing"]) else {}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {}, {}


def _is_sound(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), list) for key in ("asked", "notices")):
        return False
    return all(isinstance(row, list) and len(row) == len(Notice._fields) for row in entry["notices"])


def _is_sound_listing(listing: Any) -> bool:
    if not isinstance(listing, dict) or not isinstance(listing.get("key"), str):
        return False
    rows = listing.get("rows")
    return isinstance(rows, list) and all(isinstance(row, list) and len(row) == 4 for row in rows)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
