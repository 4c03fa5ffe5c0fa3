"""Wall-clock times of a zone and instants: gaps, overlaps, and how both are written. Source: operations.md 4.3."""

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from patchwright.core.schedules.fields import FIRST_YEAR, LAST_YEAR, invalid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*")
_NOT_ZONES = ("localtime", "posixrules", "Factory")
"""What the database's folder holds besides; the first is whatever this host is set to."""
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})")


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone. Raises Invalid(SCHEDULE)."""
    plain = _NAME.fullmatch(name) and name not in _NOT_ZONES and not name.startswith(("posix/", "right/"))
    try:
        if plain:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # no such file, a folder, or none of the database's
    raise invalid(f"'{name[:64]}' is not a time zone of the IANA database, such as Europe/Berlin, Etc/UTC or UTC.")


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall-clock time.

    One that is left out by a change of the clock moves forward by the gap's length; one that comes twice is the first.
    """
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def local_of(instant: datetime, zone: ZoneInfo) -> datetime:
    """The naive wall-clock time of an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks ever show `local` (naive): not in the hour that is left out in spring."""
    return local_of(instant_of(local, zone), zone) == local


def text_of(instant: datetime, zone: tzinfo) -> str:
    """`2024-03-12T09:00-05:00`: no seconds where they are zero, no fractions but milliseconds, `Z` for no offset.

    Source: operations.md 4.3.
    """
    shown = instant.astimezone(zone)
    parts = "minutes" if not shown.second and not shown.microsecond // 1000 else "seconds"
    if shown.microsecond // 1000:
        parts = "milliseconds"
    text = shown.isoformat(timespec=parts)
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def instant_from(text: str, name: str) -> datetime:
    """An ISO 8601 date and time with a zone, as StartDate and EndDate are. Raises Invalid(SCHEDULE) with `name`."""
    try:
        if _ISO.fullmatch(text) and FIRST_YEAR <= int(text[:4]) <= LAST_YEAR:
            # Python reads six digits of a second, Java's clients write up to nine.
            return datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # such as the 30th of February
    raise invalid(f"{name}: '{text[:40]}' is not an ISO 8601 time with a zone, such as 2030-01-02T03:04:05+01:00.")
