"""Update notices read from updateinfo.xml: what dnf's own binding leaves out (the type's word, both dates). Pure.

dnf says which notices concern a host; their texts are found here in one pass that parses the wanted ones alone, since
a distribution's file holds tens of megabytes.
"""

import bz2
import calendar
import gzip
import lzma
import re
import time
import xml.etree.ElementTree as ElementTree
from typing import IO, Any, Dict, Iterable, Set

from patchwright_agent.managers.model import Notice

MAX_BLOCK_BYTES = 8 * 1024 * 1024  # of one notice; a kernel's with all its packages has some 200 kB
_CHUNK_BYTES = 1024 * 1024
_END = b"</update>"
_PACKAGES, _PACKAGES_END = b"<pkglist>", b"</pkglist>"
_ID = re.compile(rb"<id>\s*([^<]{1,255}?)\s*</id>")
_DATE = re.compile(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?")
_EPOCH_SECONDS = re.compile(r"\s*(\d{9,10})(?:\.\d+)?\s*\Z")
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: Dict[str, Any]
_READ_ERRORS = (OSError, EOFError, lzma.LZMAError)


def read_file(path: str, wanted: Set[str]) -> Dict[str, Notice]:
    """The wanted notices of one repository's file; {} where its compression is none that Python reads."""
    opener = _OPENERS.get(path[path.rfind(".") :]) or (open if path.endswith(".xml") else None)
    if opener is None:
        return {}
    try:
        with opener(path, "rb") as stream:
            return {notice.id: notice for notice in read(stream, wanted)}
    except _READ_ERRORS:
        return {}


def read(stream: "IO[bytes]", wanted: Set[str]) -> Iterable[Notice]:
    """The notices whose ids are `wanted`, in the file's order."""
    ids = {identifier.encode("utf-8") for identifier in wanted}
    rest = b""
    while True:
        chunk = stream.read(_CHUNK_BYTES)
        if not chunk:
            return
        blocks = (rest + chunk).split(_END)
        rest = blocks.pop()
        if len(rest) > MAX_BLOCK_BYTES:
            rest = b""
        for block in blocks:
            found = _ID.search(block)
            if found and found.group(1) in ids:
                notice = _parsed(_without_packages(block[max(block.find(b"<update "), 0) :]) + _END)
                if notice is not None:
                    yield notice


def _without_packages(block: bytes) -> bytes:
    """Without the list of packages, by far the longest part: dnf has said which they are."""
    begin, end = block.find(_PACKAGES), block.rfind(_PACKAGES_END)
    return block[:begin] + block[end + len(_PACKAGES_END) :] if 0 <= begin < end else block


def _parsed(block: bytes) -> Any:
    """One <update> element, None if it is not well-formed. No document type can stand in it, so no entity expands."""
    try:
        element = ElementTree.fromstring(block)  # noqa: S314
    except ElementTree.ParseError:
        return None
    references = {"cve": [], "bugzilla": []}  # type: Dict[str, List[str]]
    for reference in element.iter("reference"):
        kept = references.get((reference.get("type") or "").lower())
        if kept is not None and reference.get("id"):
            kept.append(str(reference.get("id")))
    return Notice(
        id=(element.findtext("id") or "").strip(),
        kind=(element.get("type") or "").strip(),
        severity=(element.findtext("severity") or "").strip(),
        issued=seconds(_date_of(element, "issued")),
        updated=seconds(_date_of(element, "updated")),
        cves=tuple(sorted(set(references["cve"]))),
        bugzillas=tuple(sorted(set(references["bugzilla"]))),
    )


def _date_of(element: Any, name: str) -> str:
    child = element.find(name)
    return "" if child is None else (child.get("date") or child.text or "")


def seconds(spelled: str) -> int:
    """Epoch seconds of `YYYY-MM-DD[ HH[:MM[:SS]]]` (UTC, whatever follows), or of seconds as some spell them; else 0.

    Source: spec/patch-baselines.md 4.2.
    """
    number = _EPOCH_SECONDS.match(spelled)
    if number:
        return int(number.group(1))
    match = _DATE.match(spelled)
    if not match:
        return 0
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if not (1970 <= year <= 2200 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return 0
    moment = calendar.timegm((year, month, day, hour, minute, second))
    return moment if time.gmtime(moment).tm_mday == day else 0  # 30 February is no date
