"""A second evaluator, written from the text and on purpose built otherwise: slow, flat and without memory.

It shares no function with the first: it compares versions as the numbers of `fleets`, spells name forms
by hand, and walks every (version, notice, rule) triple.
"""

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from patchwright.core.baselines import FilterKey, PatchBaseline, RejectedAction
from patchwright.core.facts import NodeFacts
from patchwright.core.judgement import Catalogue, History
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.values import Family

RANK = {"CRITICAL": 5, "HIGH": 4, "MEDIUM": 3, "LOW": 2, "INFORMATIONAL": 1, "UNSPECIFIED": 0}
Row = tuple[str, str, str, int, str]
"""(name, arch, state, level's rank, version that the line shows)"""


def judge_again(
    facts: NodeFacts, baseline: PatchBaseline, catalogue: Catalogue, history: History, now: datetime
) -> tuple[list[Row], int]:
    """The rows of a judgement and how many lines wait for an approval."""
    rows: list[Row] = []
    waiting = 0
    for name, arch in sorted({(i.package.name, _native(i.package.arch)) for i in facts.installed}):
        here = [i.package for i in facts.installed if (i.package.name, _native(i.package.arch)) == (name, arch)]
        top = max(here, key=_number)
        newer = [
            offer
            for line in facts.upgradable
            for offer in line.offers
            if (line.installed.name, _native(line.installed.arch)) == (name, arch) and _number(offer) > _number(top)
        ]
        yes = [v for v in newer if _verdict(v, facts, baseline, catalogue, now)[0] == "yes"]
        goal = max(map(_number, yes), default=None)
        floor = goal if goal is not None else _number(top)
        waiting += any(_verdict(v, facts, baseline, catalogue, now)[0] == "later" for v in newer if _number(v) > floor)
        if goal is not None:
            level = max(_verdict(v, facts, baseline, catalogue, now)[1] for v in yes if _number(v) == goal)
            text = next(v.version for v in yes if _number(v) == goal)
            failed = any(s.name == name and _native(s.arch) == arch and text == v for s, v in history.failed)
            rows.append((name, arch, "FAILED" if failed else "MISSING", level, text))
            continue
        word, level = _verdict(top, facts, baseline, catalogue, now)
        state = "INSTALLED" if word == "yes" else "INSTALLED_OTHER"
        if word == "rejected" and baseline.rejected_patches_action is RejectedAction.BLOCK:
            state = "INSTALLED_REJECTED"
        texts = {package.version for package in here}
        if any(
            s.name == name and _native(s.arch) == arch and v in texts and boot == facts.state.boot_id
            for s, v, boot in history.pending_reboot
        ):
            state = "INSTALLED_PENDING_REBOOT"
        rows.append((name, arch, state, level if word == "yes" else 0, top.version))
    return rows, waiting


def _native(arch: str) -> str:
    return {"all": "amd64", "noarch": "x86_64"}.get(arch, arch)


def _number(version: PackageVersion) -> int:
    return int(version.version.split("-")[0])


def _verdict(
    version: PackageVersion, facts: NodeFacts, baseline: PatchBaseline, catalogue: Catalogue, now: datetime
) -> tuple[str, int]:
    """("rejected" | "yes" | "later" | "no", rank of the level)."""
    if _on_list(version, baseline.rejected_patches):
        return "rejected", 0
    apt = version.family is Family.APT
    secure = (
        any(r.trusted and ("security" in r.suite or r.site == "security.debian.org") for r in version.repositories)
        if apt
        else len(version.notices) > 0
    )
    ranks = []
    later = False
    if _on_list(version, baseline.approved_patches) and (secure or baseline.approved_patches_enable_non_security):
        ranks.append(RANK[baseline.approved_patches_level])
    views: list[Notice | None] = list(version.notices) if version.notices else [None]
    for view in views:
        if not all(_lets_through(f.key, f.values, version, view, facts.product) for f in baseline.global_filters):
            continue
        for rule in baseline.rules:
            if not all(_lets_through(f.key, f.values, version, view, facts.product) for f in rule.filters):
                continue
            if not secure and not rule.enable_non_security:
                continue
            day = None if apt and baseline.predefined else _date(version, view, catalogue)
            if day is None:
                ranks.append(RANK[rule.compliance_level])
            elif rule.approve_until_date is not None:
                if day.date() <= rule.approve_until_date:
                    ranks.append(RANK[rule.compliance_level])
            else:
                # released on or before the last second of (today - N days)
                last = now.date() - timedelta(days=rule.approve_after_days or 0)
                if day.date() <= last:
                    ranks.append(RANK[rule.compliance_level])
                else:
                    later = True
    if ranks:
        return "yes", max(ranks)
    return ("later" if later else "no"), 0


def _date(version: PackageVersion, view: Notice | None, catalogue: Catalogue) -> datetime | None:
    if version.family is Family.APT:
        places = [r for r in version.repositories if r.trusted] or list(version.repositories)
        names = {"/".join((r.origin, r.label, r.suite, r.component)) for r in places}
        found = [
            seen.at
            for key, seen in catalogue.first_seen.items()
            if key.repository in names and (key.name, key.arch, key.version) == (
                version.name, version.arch, version.version,
            )
        ]  # fmt: skip
        return min(found, default=None)
    dates = [view.updated_at, view.issued_at] if view is not None else []
    dates.append(version.built_at)
    return next((d.astimezone(UTC) for d in dates if d is not None), None)


def _lets_through(
    key: FilterKey, values: tuple[str, ...], version: PackageVersion, view: Notice | None, product: str
) -> bool:
    if "*" in values:
        return True
    have = {
        FilterKey.PRODUCT: product,
        FilterKey.CLASSIFICATION: view.classification if view else "",
        FilterKey.SEVERITY: (view.severity or "None") if view else "",
        FilterKey.PRIORITY: version.priority,
        FilterKey.SECTION: version.section,
    }[key].lower()
    if have == "medium":
        have = "moderate"
    wanted = {"moderate" if value.lower() == "medium" else value.lower() for value in values}
    if key is FilterKey.PRODUCT and have.split(".")[0] in wanted:
        return True
    return have != "" and have in wanted


def _on_list(version: PackageVersion, entries: tuple[str, ...]) -> bool:
    n, a, v = version.name, version.arch, version.version
    if version.family is Family.APT:
        forms = [n, v, f"{n}.{a}", f"{n}-{v}", f"{a}:{v}", f"{n}.{a}:{v}"]
    else:
        w = v.split("-")[0]
        forms = [n, f"{n}.{a}", f"{n}-{w}", f"{n}-{v}", f"{n}-{v}.{a}", f"0:{n}-{v}.{a}"]
        forms += [f"{n}-0:{v}", f"{n}-0:{v}.{a}", w, v, f"0:{v}", f"{n}.{a}:0:{v}"]
    for notice in version.notices:
        if any(entry.lower() in {x.lower() for x in (notice.id, *notice.cves, *notice.bugzillas)} for entry in entries):
            return True
    return any(fnmatchcase(form.lower(), entry.lower()) for form in forms for entry in entries)
