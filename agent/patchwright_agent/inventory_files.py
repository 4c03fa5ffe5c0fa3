"""AWS:File: files that an order names, with their sizes and times. Nothing is opened and no link is followed.

An order is a JSON list of {"Path", "Pattern": [...], "Recursive", "DirScanLimit"}. Source: spec/operations.md 2.3, 7.1.
"""

import fnmatch
import json
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List

    Row = Dict[str, str]

MAX_ORDERS = 10
MAX_FILES = 500
"""The vendor's own limit."""
DEFAULT_SCANNED, MAX_SCANNED = 5000, 100000


def files(text: str) -> "List[Row]":
    """A row for each file that is found, each once. Raises ValueError for an order that can't be read."""
    try:
        orders = json.loads(text)
    except (ValueError, RecursionError):
        orders = None
    if not isinstance(orders, list) or not 1 <= len(orders) <= MAX_ORDERS:
        raise ValueError("files is a JSON list of 1 to %d objects with Path and Pattern" % MAX_ORDERS)
    found: "Dict[str, Row]" = {}
    for order in orders:
        for path, status in _matching(order):
            if len(found) >= MAX_FILES:
                print("AWS:File: the first %d files alone" % MAX_FILES)
                return list(found.values())
            found[path] = _row(path, status)
    return list(found.values())


def _matching(order: "Any") -> "Iterator[tuple[str, os.stat_result]]":
    path, patterns, recursive, limit = _checked(order)
    left, folders = limit, [path]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            print("AWS:File: %s is left out: %s" % (ascii(folder), error.strerror))
            continue
        for entry in entries:
            left -= 1
            if left < 0:
                print("AWS:File: %s has more than %d entries: the rest is left out" % (ascii(path), limit))
                return
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it has just gone
            if stat.S_ISDIR(status.st_mode):
                if recursive:
                    folders.append(entry.path)
            elif stat.S_ISREG(status.st_mode) and any(fnmatch.fnmatchcase(entry.name, p) for p in patterns):
                yield entry.path, status


def _checked(order: "Any") -> "tuple[str, List[str], bool, int]":
    path = order.get("Path") if isinstance(order, dict) else None
    patterns = order.get("Pattern", ["*"]) if isinstance(order, dict) else None
    limit = order.get("DirScanLimit", DEFAULT_SCANNED) if isinstance(order, dict) else 0
    is_list = isinstance(patterns, list) and all(isinstance(p, str) for p in patterns)
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path or not is_list:
        raise ValueError("files: each object has an absolute Path and a list Pattern")
    if not isinstance(limit, int) or not 1 <= limit <= MAX_SCANNED:
        raise ValueError("files: DirScanLimit is a number from 1 to %d" % MAX_SCANNED)
    return path, patterns, order.get("Recursive") is True, limit


def _row(path: str, status: "os.stat_result") -> "Row":
    return {
        "Name": os.path.basename(path),
        "InstalledDir": os.path.dirname(path),
        "Size": str(status.st_size),
        "ModificationTime": _time(status.st_mtime),
        "LastAccessTime": _time(status.st_atime),
    }


def _time(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""  # a file may have any time
