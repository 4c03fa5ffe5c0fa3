"""A baseline on everything that is on offer for its system: what it approves, what waits, what a list decides."""

from dataclasses import dataclass
from datetime import UTC, datetime

from patchwright.core.approval import Approver, AptDelays
from patchwright.core.available import EPOCH_START
from patchwright.core.effective import Effective, effective
from patchwright.core.judgement import Catalogue
from patchwright.core.values import FAMILY_OF, Family, Scope
from patchwright.flows.judge_node import waits_for_dates
from patchwright.store import available, first_seen
from patchwright.store.available import AvailablePatch
from patchwright.store.baselines import StoredBaseline
from patchwright.store.columns import to_micros
from patchwright.store.engine import Tx

KEPT = 8
"""Answers in memory: a list is read page by page, and to make it anew each time would take as long for each page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePatch:
    """A patch that the baseline concerns, and what it says of it."""

    patch: AvailablePatch
    said: Effective

    @property
    def place(self) -> list[object]:
        """Where it stands in the list: by the day of its approval, then its title. Source: patch-baselines.md 8."""
        return [to_micros(self.said.approval_date or EPOCH_START), self.patch.version.title, self.patch.product]


def effective_patches(
    tx: Tx, scope: Scope, stored: StoredBaseline, now: datetime, apt_delays: AptDelays
) -> list[EffectivePatch]:
    """In order of `place`. Reads only; a list is kept until the baseline, the offers, their dates or the day change."""
    baseline, system = stored.baseline, stored.baseline.operating_system
    waits = FAMILY_OF[system] is Family.APT and waits_for_dates(baseline)
    key = (
        scope, baseline.id, stored.version, apt_delays, now.astimezone(UTC).date(),
        available.newest(tx, scope, system), first_seen.moves(tx, scope.account) if waits else 0,
    )  # fmt: skip
    kept = tx.cache("effective patches", limit=KEPT)
    found: list[EffectivePatch] | None = kept.get(key)
    if found is None:
        made = found = _judged(tx, scope, stored, now, apt_delays, waits=waits)
        tx.after_commit(lambda: kept.update({key: made}))
    return found


def _judged(
    tx: Tx, scope: Scope, stored: StoredBaseline, now: datetime, apt_delays: AptDelays, *, waits: bool
) -> list[EffectivePatch]:
    patches = list(available.of_system(tx, scope, stored.baseline.operating_system))
    dates = Catalogue()
    if waits:
        dates = first_seen.catalogue(tx, scope.account, sorted({patch.version.name for patch in patches}))
    approvers: dict[str, Approver] = {}
    found = []
    for patch in patches:
        approver = approvers.get(patch.product)
        if approver is None:
            approver = Approver(stored.baseline, patch.product, dates, now, apt_delays=apt_delays)
            approvers[patch.product] = approver
        said = effective(approver.approval_of(patch.version))
        if said is not None:
            found.append(EffectivePatch(patch=patch, said=said))
    return sorted(found, key=lambda one: one.place)
