"""A worker's closures -> checked core values. Everything in them is hostile.

Source: the worker's protocol, SettlePlan.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.plan import Change, Closure
from patchwright.core.values import Slot
from patchwright.flows.facts_fields import shown

MAX_ALL_CHANGES = 100_000
"""Of all closures of one answer: 250 cumulative ones name 31,000 co-targets between them."""
MAX_PROBLEM = 500
"""Characters of the manager's words that are kept of one closure."""


def read_closures(raw: Sequence[Mapping[str, Any]]) -> tuple[Closure, ...]:
    """Closures as their shape has let them through. Raises Invalid(RUN), LimitExceeded(REPORT)."""
    size = sum(len(c.get("Incoming", ())) + len(c.get("Removed", ())) for c in raw)
    if size > MAX_ALL_CHANGES:
        raise LimitExceeded(
            Kind.REPORT, f"The closures name {size} packages; the server reads {MAX_ALL_CHANGES} in one answer."
        )
    known: dict[tuple[str, str, str, str], Change] = {}
    return tuple(_closure(c, known) for c in raw)


def _closure(raw: Mapping[str, Any], known: dict[tuple[str, str, str, str], Change]) -> Closure:
    return Closure(
        slot=_slot(raw) if raw.get("Name") else None,
        incoming=tuple(_changes(raw.get("Incoming", ()), known)),
        removed=tuple(_slot(r) for r in raw.get("Removed", ())),
        problem=_problem(raw.get("Problem", "")),
    )


def _problem(text: str) -> str:
    return (shown(text, MAX_PROBLEM).strip() or "it gave no reason") if text else ""


def _changes(rows: Iterable[Mapping[str, Any]], known: dict[tuple[str, str, str, str], Change]) -> Iterable[Change]:
    """Cumulative closures repeat themselves: each change is checked and kept once."""
    for row in rows:
        key = (row["Name"], row.get("Arch", ""), row.get("FromVersion", ""), row["Version"])
        if key not in known:
            name, arch, before, version = map(_clean, key)
            if not version:
                raise Invalid(Kind.RUN, "A closure names a package without its version.")
            known[key] = Change(slot=Slot(name=name, arch=arch), from_version=before, version=version)
        yield known[key]


def _slot(raw: Mapping[str, Any]) -> Slot:
    return Slot(name=_clean(raw["Name"]), arch=_clean(raw.get("Arch", "")))


def _clean(text: str) -> str:
    if not text.isprintable():
        raise Invalid(Kind.RUN, "A closure holds characters that can't be printed.")
    return text
