"""Whether a baseline approves a version at an instant: list, facets, date, and how they combine.

Three small functions hold the rules (`listed`, `facets_match`, `combine`); `Approver` only remembers
their answers, so a bulk judge can remember in its own way around the very same functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter
from patchwright.core.errors import Invalid, Kind
from patchwright.core.filters import SECURITY_CLASSIFICATIONS, Facets, facets_of, is_security, matches, said_no
from patchwright.core.judgement import Catalogue, ReasonCode, ReleaseSource
from patchwright.core.lists import listed
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.releases import Release, approval_instant, release_of
from patchwright.core.values import FAMILY_OF, ComplianceLevel, Family

AptDelays = Literal["honour", "ignore"]
"""The service setting of decisions.md 15."""

_OS_PATCHES_ONLY = PatchFilter(key=FilterKey.PATCH_SET, values=("OS",))
_SEVERITY_RANK = {"critical": 4, "important": 3, "moderate": 2, "medium": 2, "low": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One rule's no (or the global filters', then `rule` is None), in words."""

    rule: int | None
    code: ReasonCode
    text: str


@dataclass(slots=True)
class Trace:
    """Collects the noes while the rules run."""

    refusals: list[Refusal] = field(default_factory=list)

    def add(self, rule: int | None, code: ReasonCode, text: str) -> None:
        refusal = Refusal(rule=rule, code=code, text=text)
        if refusal not in self.refusals:
            self.refusals.append(refusal)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHit:
    """A rule whose filters accept a version as one notice describes it.

    `approved_at` is None where nothing waits. `after_cutoff`: released after the rule's ApproveUntilDate.
    """

    rule: int
    level: ComplianceLevel
    release: Release
    approved_at: datetime | None
    after_cutoff: bool
    classification: str
    severity: str

    def due(self, now: datetime) -> bool:
        return not self.after_cutoff and (self.approved_at is None or self.approved_at <= now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The answer for one version. `classification` and `severity` are of the notice that carried it.

    `rejected_entry`/`approved_entry`: the entry that decided. `unused_entry`: an approved entry that
    names the version without effect, because the version is not security and the list's flag is off.
    `hits` are due, `pending` wait, `cut_off` never come. `next_change_at`: the next instant at which the
    answer may change.
    """

    approved: bool
    level: ComplianceLevel
    rejected_entry: str | None
    approved_entry: str | None
    unused_entry: str | None
    hits: tuple[RuleHit, ...]
    pending: tuple[RuleHit, ...]
    cut_off: tuple[RuleHit, ...]
    next_change_at: datetime | None
    classification: str
    severity: str

    @property
    def best_hit(self) -> RuleHit | None:
        """The hit that decided: the highest level, then the vendor's gravest notice, then the first rule."""
        return self.hits[0] if self.hits else None


def facets_match(facets: Facets, baseline: PatchBaseline, trace: Trace | None = None) -> tuple[int, ...]:
    """The rules (from 1) whose filters and non-security flag accept `facets`, dates left aside.

    Global filters narrow first; an empty filter list is true; an empty rule list matches nothing.
    Source: patch-baselines.md 3.4, 3.6.
    """
    for filter in baseline.global_filters:
        if not matches(filter, facets):
            if trace is not None:
                trace.add(None, ReasonCode.GLOBAL_FILTER, said_no(filter, facets))
            return ()
    matched = []
    for number, rule in enumerate(baseline.rules, 1):
        refused = next((filter for filter in _filters_of(rule, baseline) if not matches(filter, facets)), None)
        if refused is not None:
            if trace is not None:
                trace.add(number, ReasonCode.FILTERED_OUT, said_no(refused, facets))
        elif not (facets.security or rule.enable_non_security):
            if trace is not None:
                trace.add(number, ReasonCode.NOT_SECURITY, "EnableNonSecurity is off")
        else:
            matched.append(number)
    return tuple(matched)


def _filters_of(rule: ApprovalRule, baseline: PatchBaseline) -> tuple[PatchFilter, ...]:
    if FAMILY_OF[baseline.operating_system] is not Family.WINDOWS:
        return rule.filters
    named = any(filter.key is FilterKey.PATCH_SET for filter in (*rule.filters, *baseline.global_filters))
    return rule.filters if named else (_OS_PATCHES_ONLY, *rule.filters)


def rule_hit(
    number: int, rule: ApprovalRule, release: Release, *, waits: bool, classification: str, severity: str
) -> RuleHit:
    """Put the date to a rule that accepted the facets. Without a date nothing waits. Source: patch-baselines.md 1.4."""
    approved_at, after_cutoff = None, False
    if waits and release.at is not None:
        if rule.approve_until_date is not None:
            after_cutoff = release.at.astimezone(UTC).date() > rule.approve_until_date
        else:
            approved_at = approval_instant(release.at, rule.approve_after_days or 0)
    return RuleHit(
        rule=number,
        level=rule.compliance_level,
        release=release,
        approved_at=approved_at,
        after_cutoff=after_cutoff,
        classification=classification,
        severity=severity,
    )


def combine(
    *,
    rejected_entry: str | None,
    approved_entry: str | None,
    security: bool,
    hits: tuple[RuleHit, ...],
    own: tuple[str, str],
    baseline: PatchBaseline,
    now: datetime,
) -> Approval:
    """Rejected list, then approved list, then rules; the level is the highest of all that approve.

    `own` is the (classification, severity) that the version has where no rule decides.
    Source: patch-baselines.md 1.8, 3.4.
    """
    effective = approved_entry is not None and (security or baseline.approved_patches_enable_non_security)
    due = tuple(sorted((hit for hit in hits if hit.due(now)), key=_gravity))
    pending = tuple(sorted((hit for hit in hits if not hit.after_cutoff and not hit.due(now)), key=_wait))
    levels = [hit.level for hit in due] + ([baseline.approved_patches_level] if effective else [])
    rejected = rejected_entry is not None
    approved = bool(levels) and not rejected
    classification, severity = (due[0].classification, due[0].severity) if approved and due else own
    return Approval(
        approved=approved,
        level=max(levels, key=lambda level: level.rank) if approved else ComplianceLevel.UNSPECIFIED,
        rejected_entry=rejected_entry,
        approved_entry=approved_entry if effective else None,
        unused_entry=approved_entry if not effective else None,
        hits=() if rejected else due,
        pending=() if rejected else pending,
        cut_off=() if rejected else tuple(hit for hit in hits if hit.after_cutoff),
        next_change_at=pending[0].approved_at if pending and not rejected else None,
        classification=classification,
        severity=severity,
    )


def _vendor_gravity(classification: str, severity: str) -> tuple[int, int, str, str]:
    security = classification.lower() in SECURITY_CLASSIFICATIONS
    return (-int(security), -_SEVERITY_RANK.get(severity.lower(), 0), classification, severity)


def _gravity(hit: RuleHit) -> tuple[object, ...]:
    released = hit.release.at
    return (
        -hit.level.rank,
        *_vendor_gravity(hit.classification, hit.severity),
        hit.rule,
        released.timestamp() if released else 0.0,
    )


def _wait(hit: RuleHit) -> tuple[object, ...]:
    return (hit.approved_at, *_gravity(hit))


class Seen(NamedTuple):
    """A version as one notice describes it: the rules that accept it so, its release, its reported words."""

    rules: tuple[int, ...]
    release: Release
    classification: str
    severity: str


UNDATED = Release(at=None, source=ReleaseSource.NONE)


class Approver:
    """Approvals under one baseline, for nodes of one product, at one instant; each version is asked once.

    May be shared by every node of that product that is judged with the same catalogue at the same instant.
    """

    def __init__(
        self,
        baseline: PatchBaseline,
        product: str,
        catalogue: Catalogue,
        now: datetime,
        *,
        apt_delays: AptDelays = "honour",
    ) -> None:
        if now.tzinfo is None:
            raise Invalid(Kind.BASELINE, "a judgement needs an aware instant; a naive one was given", id=baseline.id)
        self.baseline = baseline
        self.product = product
        self.catalogue = catalogue
        self.now = now
        self.family = FAMILY_OF[baseline.operating_system]
        self.waits = self.family is not Family.APT or (apt_delays == "honour" and not baseline.predefined)
        self._approvals: dict[PackageVersion, Approval] = {}
        self._rules: dict[Facets, tuple[int, ...]] = {}

    def approval_of(self, version: PackageVersion) -> Approval:
        """What the baseline says of `version`, remembered."""
        known = self._approvals.get(version)
        if known is None:
            known = self._approvals[version] = self._ask(version, None)
        return known

    def traced(self, version: PackageVersion) -> tuple[Approval, Trace]:
        """The same answer with every no on the way to it."""
        trace = Trace()
        return self._ask(version, trace), trace

    def _ask(self, version: PackageVersion, trace: Trace | None) -> Approval:
        seen = []
        for facets, notice in facets_of(version, self.product):
            rules = self._rules_for(facets) if trace is None else facets_match(facets, self.baseline, trace)
            release = release_of(version, notice, self.catalogue) if rules else UNDATED
            seen.append(Seen(rules, release, *described(version, facets, notice)))
        return self.weigh(
            seen,
            security=is_security(version),
            rejected_entry=listed(version, self.baseline.rejected_patches),
            approved_entry=listed(version, self.baseline.approved_patches),
        )

    def weigh(
        self, seen: Sequence[Seen], *, security: bool, rejected_entry: str | None, approved_entry: str | None
    ) -> Approval:
        """What the baseline says of a version that is seen so, one element per notice that lists it."""
        hits = [
            rule_hit(
                number,
                self.baseline.rules[number - 1],
                one.release,
                waits=self.waits,
                classification=one.classification,
                severity=one.severity,
            )
            for one in seen
            for number in one.rules
        ]
        return combine(
            rejected_entry=rejected_entry,
            approved_entry=approved_entry,
            security=security,
            hits=tuple(hits),
            own=min(((one.classification, one.severity) for one in seen), key=lambda words: _vendor_gravity(*words)),
            baseline=self.baseline,
            now=self.now,
        )

    def _rules_for(self, facets: Facets) -> tuple[int, ...]:
        known = self._rules.get(facets)
        if known is None:
            known = self._rules[facets] = facets_match(facets, self.baseline)
        return known


def described(version: PackageVersion, facets: Facets, notice: Notice | None) -> tuple[str, str]:
    """(classification, severity) as they are reported. On apt the severity is the priority. Source: 4.4, 7.1."""
    if version.family is Family.APT:
        return facets.classification, version.priority
    return facets.classification, notice.severity if notice is not None else facets.severity


def approval_of(
    version: PackageVersion,
    baseline: PatchBaseline,
    product: str,
    catalogue: Catalogue,
    now: datetime,
    *,
    apt_delays: AptDelays = "honour",
) -> Approval:
    """Say whether `baseline` approves `version` at `now` (aware, UTC), and by which rule or list.

    `product` is the node's. The rejected list comes first, then the approved list, then (global filters
    and any rule). A rule's delay of N days is over at 00:00:00Z of the UTC date of release plus N.
    Source: patch-baselines.md 1.4, 1.8, 3.4; decisions.md 14, 15.
    """
    return Approver(baseline, product, catalogue, now, apt_delays=apt_delays).approval_of(version)
