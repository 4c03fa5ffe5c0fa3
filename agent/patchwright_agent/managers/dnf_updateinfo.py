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
from typing import IO, Any, Dict, Iterable, Iterator, Optional, Set, Tuple

from patchwright_agent.managers.model import Notice

MAX_BLOCK_BYTES = 8 * 1024 * 1024  # of one notice; a kernel's with all its packages has some 200 kB
_CHUNK_BYTES = 1024 * 1024
_BEGIN, _END = b"<update ", b"</update>"
_PACKAGES, _PACKAGES_END = b"<pkglist>", b"</pkglist>"
_ID = re.compile(rb"<id>\s*([^<]{1,255}?)\s*</id>")
_DATE = re.compile(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?")
_EPOCH_SECONDS = re.compile(r"\s*(\d{9,10})(?:\.\d+)?\s*\Z")
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: Dict[str, Any]
READ_ERRORS = (OSError, EOFError, lzma.LZMAError)


def read_file(path: str, wanted: Set[str]) -> Dict[str, Notice]:
    """The wanted notices of one repository's file; {} where it cannot be read to its end."""
    try:
        notices = [parsed(block) for _, block in file_blocks(path, _encoded(wanted))]
    except READ_ERRORS:
        return {}
    return {notice.id: notice for notice in notices if notice is not None}


def read(stream: "IO[bytes]", wanted: Set[str]) -> Iterable[Notice]:
    """The notices whose ids are `wanted`, in the file's order."""
    notices = (parsed(block) for _, block in _blocks(stream, _encoded(wanted)))
    return (notice for notice in notices if notice is not None)


def file_blocks(path: str, wanted: Optional[Set[bytes]]) -> Iterator[Tuple[bytes, bytes]]:
    """The id and the text for `parsed` of each wanted notice of a file, of each at all if `wanted` is None.

    Nothing where its compression is none that Python reads. Raises one of READ_ERRORS.
    """
    opener = _OPENERS.get(path[path.rfind(".") :]) or (open if path.endswith(".xml") else None)
    if opener is not None:
        with opener(path, "rb") as stream:
            yield from _blocks(stream, wanted)


def _encoded(wanted: Set[str]) -> Set[bytes]:
    return {identifier.encode("utf-8", "surrogateescape") for identifier in wanted}


def _blocks(stream: "IO[bytes]", wanted: Optional[Set[bytes]]) -> Iterator[Tuple[bytes, bytes]]:
    rest = b""
    while True:
        chunk = stream.read(_CHUNK_BYTES)
        if not chunk:
            return
        content = rest + chunk
        begin, end = 0, content.find(_END)
        while end >= 0:
            found = _ID.search(content, begin, end)
            if found and (wanted is None or found.group(1) in wanted):
                block = content[max(content.find(_BEGIN, begin, end), begin) : end]
                yield found.group(1), _without_packages(block) + _END
            begin = end + len(_END)
            end = content.find(_END, begin)
        rest = content[begin:] if len(content) - begin <= MAX_BLOCK_BYTES else b""


def _without_packages(block: bytes) -> bytes:
    """Without the list of packages, by far the longest part: dnf has said which they are."""
    begin, end = block.find(_PACKAGES), block.rfind(_PACKAGES_END)
    return block[:begin] + block[end + len(_PACKAGES_END) :] if 0 <= begin < end else block


def parsed(block: bytes) -> Optional[Notice]:
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
