"""Reads the index files that apt keeps: wanted records from its lists, dates from its Release files."""

import os
from typing import Dict, Mapping, Optional, Sequence, Set, Tuple

from patchwright_agent import platform, run
from patchwright_agent.managers.apt_assemble import Wanted
from patchwright_agent.managers.apt_index import IndexRecord, IndexScanner, parse_release_date
from patchwright_agent.managers.apt_output import IndexTarget

TIMEOUT_SECONDS = 120
MAX_BYTES = 4 * 1024 * 1024 * 1024  # streamed, never kept
_CHUNK_BYTES = 1024 * 1024
_APT_HELPER = "/usr/lib/apt/apt-helper"
_COMPRESSED = (".gz", ".xz", ".bz2", ".lz4", ".zst", ".lzma")


def find_records(wanted: Sequence[Wanted], targets: Sequence[IndexTarget]) -> Dict[Wanted, IndexRecord]:
    """The records of `wanted`, read from the lists that hold them and no others. What is not found is left out."""
    files = {target.description: target.filename for target in targets}
    by_list: Dict[str, Dict[str, Set[str]]] = {}
    for want in wanted:
        by_list.setdefault(want.description, {}).setdefault(want.name, set()).add(want.version)
    scans = [(name, _scan(files[name], versions)) for name, versions in by_list.items() if name in files]
    found = {}
    for description, (scanner, child) in scans:
        if child is not None:
            child.wait()  # a list that cannot be read whole lacks records, and those are counted
        for (name, version), record in scanner.close().items():
            found[Wanted(description, name, version)] = record
    return found


def _scan(path: str, wanted: Mapping[str, Set[str]]) -> Tuple[IndexScanner, Optional[run.Child]]:
    """Scan a list: at once if it is plain, through apt's own decompressor, in the background, if it is not."""
    scanner = IndexScanner(wanted)
    if path.endswith(_COMPRESSED):
        return scanner, run.start([_APT_HELPER, "cat-file", path], TIMEOUT_SECONDS, MAX_BYTES, scanner.feed)
    try:
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                scanner.feed(chunk)
    except OSError:
        pass  # as above: its records are missing, and counted
    return scanner, None


def release_path(target: IndexTarget) -> str:
    """The Release file that governs an index, "" if apt has none: the same file name with another ending."""
    ending = target.meta_key.replace("_", "%5f").replace("/", "_")
    stem = target.filename
    while stem.endswith(_COMPRESSED):
        stem = stem.rpartition(".")[0]
    if not ending or not stem.endswith(ending):
        return ""
    for name in ("InRelease", "Release"):
        path = stem[: -len(ending)] + name
        if os.path.exists(path):
            return path
    return ""


def released_at(target: IndexTarget) -> int:
    """The date of the Release file that governs an index, in epoch seconds, 0 if unknown."""
    path = release_path(target)
    return parse_release_date(platform.small_file(path)) if path else 0
