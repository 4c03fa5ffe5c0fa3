"""Reading apt's index files: the wanted records of a Packages list, and the date of a Release file.

A list of a full archive is some 50 MB of text, so it is cut into records at blank lines, piece by piece, and all but
the few wanted ones are dropped unread. Pure: bytes in, values out.
"""

import re
from datetime import datetime, timezone
from typing import Dict, Mapping, NamedTuple, Set, Tuple

from patchwright_agent import text

MAX_RECORD_BYTES = 1024 * 1024  # the longest honest record (a kernel's Provides) is some 50 kB

_FIELD = re.compile(
    rb"^(Package|Version|Section|Priority|Source|Phased-Update-Percentage):[ \t]*([^\n]*)", re.MULTILINE | re.IGNORECASE
)
_PACKAGE = re.compile(rb"^Package:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_SOURCE = re.compile(r"(\S+)(?: \(([^()\s]+)\))?\Z")
_PERCENTAGE = re.compile(r"\d{1,3}\Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RELEASE_DATE = re.compile(
    r"^Date:[ \t]*(?:[A-Za-z]{3},? +)?(\d{1,2}) +([A-Za-z]{3}) +(\d{4})"
    r" +(\d{1,2}):(\d\d):(\d\d) *(?:UTC|GMT|Z|\+0000)\s*$",
    re.MULTILINE,
)


class IndexRecord(NamedTuple):
    """What a repository says of one version."""

    section: str
    priority: str
    source: str
    source_version: str
    phased: str


class IndexScanner:
    """Picks the records of wanted (name, versions) out of a Packages list that arrives in pieces of any size."""

    def __init__(self, wanted: Mapping[str, Set[str]]) -> None:
        self.found: Dict[Tuple[str, str], IndexRecord] = {}
        self.oversized = 0
        self._wanted = {name.encode(): versions for name, versions in wanted.items()}
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> None:
        pieces = (self._rest + chunk).split(b"\n\n")
        self._rest = pieces.pop()
        if self._skipping and pieces:  # the tail of an oversized record ends here
            del pieces[0]
            self._skipping = False
        if len(self._rest) > MAX_RECORD_BYTES:
            # Keep a line break: it may be the first half of the blank line that ends the record.
            self._rest = self._rest[-1:]
            self.oversized += 0 if self._skipping else 1
            self._skipping = True
        wanted = self._wanted
        for piece in pieces:
            if piece[:9] == b"Package: ":
                name = piece[9 : piece.find(b"\n", 9)]
            else:
                match = _PACKAGE.search(piece)  # another field comes first, or several blank lines
                name = match.group(1) if match else b""
            if name in wanted:
                self._take(piece, wanted[name])

    def close(self) -> Dict[Tuple[str, str], IndexRecord]:
        """End of the list: take the last record; the records found, by (name, version)."""
        self.feed(b"\n\n")
        return self.found

    def _take(self, piece: bytes, versions: Set[str]) -> None:
        fields: Dict[str, str] = {}
        for key, value in _FIELD.findall(piece):
            fields.setdefault(key.decode("ascii").lower(), value.decode("utf-8", "replace").strip())
        name, version = fields.get("package", ""), fields.get("version", "")
        if version in versions:
            self.found.setdefault((name, version), index_record(fields))


def index_record(fields: Mapping[str, str]) -> IndexRecord:
    """Fill what the record leaves out: the source defaults to the package, its version to the package's."""
    match = _SOURCE.match(text.field(fields.get("source", "")))
    phased = fields.get("phased-update-percentage", "")
    return IndexRecord(
        section=text.field(fields.get("section", "")),
        priority=text.field(fields.get("priority", "")),
        source=match.group(1) if match else text.field(fields.get("package", "")),
        source_version=(match.group(2) if match else None) or text.field(fields.get("version", "")),
        phased=phased if _PERCENTAGE.match(phased) else "",
    )


def parse_release_date(content: str) -> int:
    """The Date of a Release or InRelease file in epoch seconds, 0 if it has none that can be read.

    Source: the repository format, whose dates are RFC 822 dates in UTC and nothing else.
    """
    match = _RELEASE_DATE.search(content)
    if match is None or match.group(2).title() not in _MONTHS:
        return 0
    month = _MONTHS.index(match.group(2).title()) + 1
    day, year, hour, minute, second = (int(match.group(number)) for number in (1, 3, 4, 5, 6))
    try:
        date = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return 0
    return max(int(date.timestamp()), 0)
