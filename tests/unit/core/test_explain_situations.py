"""Planted situations: one node, one question, one right answer in words that an operator understands."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from tests.unit.core.builders import (
    BASELINE_ID,
    SECURITY,
    SECURITY_7_DAYS,
    TODAY,
    UNSIGNED,
    UPDATES,
    baseline,
    blocking,
    deb,
    judged,
    kb,
    node,
    notice,
    only,
    rpm,
    rule,
    seen,
    the_line,
)

from patchwright.core.baselines import FilterKey, PatchBaseline, PatchSource
from patchwright.core.errors import Invalid
from patchwright.core.explain import Explanation, explain
from patchwright.core.facts import NodeFacts
from patchwright.core.failures import SCRIPT_FAILED, dropped_words, kept_text, problem_words
from patchwright.core.judgement import Catalogue, History, ReasonCode, ReleaseSource
from patchwright.core.plan import DropCode, DroppedTarget
from patchwright.core.predefined import DEFAULT_FOR
from patchwright.core.values import OperatingSystem, Slot

AL2, UBUNTU, WINDOWS = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU, OperatingSystem.WINDOWS
SLOT = Slot(name="curl", arch="x86_64")
DEB_SLOT = Slot(name="curl", arch="amd64")
OLD = rpm("curl", "7.1-1", notice("ALAS2-2025-1", updated="2025-09-01", cves=("CVE-2025-0001",)))
NEW = rpm("curl", "7.2-1", notice("ALAS2-2025-2", updated="2025-11-01", cves=("CVE-2025-0002",)))
NEWEST = rpm("curl", "7.3-1", notice("ALAS2-2025-3", updated="2025-11-19", cves=("CVE-2025-0003",)))
DEB_OLD, DEB_NEW = deb("curl", "7.1", UPDATES), deb("curl", "7.2", SECURITY)
ANY = rule(days=0)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """`says` are words that the sentence must hold, `remedy` those of the remedy (None: there is nothing to do)."""

    facts: NodeFacts | None
    baseline: PatchBaseline
    code: ReasonCode
    says: tuple[str, ...]
    remedy: str | None = None
    query: str = "curl"
    history: History = field(default_factory=History)
    catalogue: Catalogue = field(default_factory=Catalogue)
    details: str = ""
    left_out: dict[tuple[Slot, str], str] = field(default_factory=dict)


def _al2(*offers, **more) -> NodeFacts:
    return node(AL2, OLD, offers=offers, **more)


def _ubuntu(*offers, **more) -> NodeFacts:
    return node(UBUNTU, DEB_OLD, offers=offers, **more)


RULES = baseline(AL2, SECURITY_7_DAYS)
FAILED = History(failed=frozenset({(SLOT, "7.2-1")}), failed_reasons={(SLOT, "7.2-1"): "%post failed, exit status 1"})
BLOCKED = kept_text(
    DropCode.BLOCKED_DEPENDENCY,
    dropped_words(
        DroppedTarget(slot=SLOT, version="7.2-1", code=DropCode.BLOCKED_DEPENDENCY, because_of="libcurl.x86_64:0:7.2-1")
    ),
)

SITUATIONS: dict[str, Situation] = {
    "approved by a rule": Situation(
        facts=_al2(NEW), baseline=RULES, code=ReasonCode.APPROVED_BY_RULE,
        says=("7.1-1 -> 7.2-1", "rule 1 of our-baseline", "since 2025-11-08 00:00Z", "last updated 2025-11-01"),
        remedy="Operation=Install",
    ),
    "approved by the list": Situation(
        facts=_al2(NEWEST), baseline=replace(RULES, approved_patches=("cur*",)), code=ReasonCode.APPROVED_BY_LIST,
        says=("'cur*'",), remedy="Operation=Install",
    ),
    "approved by a CVE on the list": Situation(
        facts=_al2(NEWEST), baseline=replace(RULES, approved_patches=("cve-2025-0003",)),
        code=ReasonCode.APPROVED_BY_LIST, says=("cve-2025-0003",), remedy="Operation=Install",
    ),
    "up to date": Situation(
        facts=_al2(), baseline=RULES, code=ReasonCode.UP_TO_DATE, says=("7.1-1 is installed", "nothing newer"),
    ),
    "not from a security archive": Situation(
        facts=_ubuntu(deb("curl", "7.3", UPDATES)), baseline=baseline(UBUNTU, ANY), code=ReasonCode.NOT_SECURITY,
        says=("not upgraded to 7.3", "no security update"), remedy="--approved-patches-enable-non-security",
        details="rule 1: EnableNonSecurity is off",
    ),
    "in no notice": Situation(
        facts=_al2(rpm("curl", "7.3-1")), baseline=baseline(AL2, ANY), code=ReasonCode.NOT_SECURITY,
        says=("no security update",), remedy="--approved-patches-enable-non-security",
    ),
    "listed, but the list takes only security": Situation(
        facts=_ubuntu(deb("curl", "7.3", UPDATES)), baseline=baseline(UBUNTU, approved_patches=("curl",)),
        code=ReasonCode.NOT_SECURITY, says=("approved entry 'curl'", "security updates only"),
        remedy="--approved-patches-enable-non-security",
    ),
    "filtered out by classification": Situation(
        facts=_al2(rpm("curl", "7.2-1", notice(classification="Bugfix", updated="2025-10-01"))), baseline=RULES,
        code=ReasonCode.FILTERED_OUT, says=("no rule of our-baseline accepts it",), remedy="--approved-patches curl",
        details="rule 1: CLASSIFICATION is Bugfix, the filter wants Security",
    ),
    "filtered out by severity": Situation(
        facts=_al2(rpm("curl", "7.2-1", notice(severity="Low", updated="2025-10-01"))), baseline=RULES,
        code=ReasonCode.FILTERED_OUT, says=("no rule",), remedy="--approved-patches curl",
        details="rule 1: SEVERITY is Low, the filter wants Critical or Important",
    ),
    "filtered out by priority": Situation(
        facts=_ubuntu(DEB_NEW), baseline=baseline(UBUNTU, rule(only(FilterKey.PRIORITY, "Required"))),
        code=ReasonCode.FILTERED_OUT, says=("no rule",), remedy="--approved-patches curl",
        details="rule 1: PRIORITY is optional, the filter wants Required",
    ),
    "filtered out by section": Situation(
        facts=_ubuntu(DEB_NEW), baseline=baseline(UBUNTU, rule(only(FilterKey.SECTION, "libs"))),
        code=ReasonCode.FILTERED_OUT, says=("no rule",), remedy="--approved-patches curl",
        details="rule 1: SECTION is missing, the filter wants libs",
    ),
    "filtered out by product": Situation(
        facts=_ubuntu(DEB_NEW, product="Ubuntu22.04"),
        baseline=baseline(UBUNTU, rule(only(FilterKey.PRODUCT, "Ubuntu24.04"))),
        code=ReasonCode.FILTERED_OUT, says=("no rule",), remedy="--approved-patches curl",
        details="rule 1: PRODUCT is Ubuntu22.04, the filter wants Ubuntu24.04",
    ),
    "global filter": Situation(
        facts=_al2(NEW),
        baseline=baseline(AL2, ANY, global_filters=(only(FilterKey.SEVERITY, "Critical"),)),
        code=ReasonCode.GLOBAL_FILTER, says=("global filters",), remedy="--approved-patches curl",
        details="global filter: SEVERITY is Important, the filter wants Critical",
    ),
    "pending approval": Situation(
        facts=_al2(NEWEST), baseline=RULES, code=ReasonCode.PENDING_APPROVAL,
        says=("rule 1", "2025-11-26 00:00Z", "last updated 2025-11-19"), remedy="--approved-patches curl",
    ),
    "pending approval on apt, dated by the first report": Situation(
        facts=_ubuntu(DEB_NEW), baseline=baseline(UBUNTU, rule()), catalogue=seen(DEB_NEW, when="2025-11-18"),
        code=ReasonCode.PENDING_APPROVAL, says=("2025-11-25", "a node first reported it"), remedy="curl",
    ),
    "pending approval on apt, dated by the repository": Situation(
        facts=_ubuntu(DEB_NEW), baseline=baseline(UBUNTU, rule()),
        catalogue=seen(DEB_NEW, when="2025-11-18", source=ReleaseSource.REPOSITORY_FIRST_SEEN),
        code=ReasonCode.PENDING_APPROVAL, says=("2025-11-25", "Release file is dated"), remedy="curl",
    ),
    "after the cut-off": Situation(
        facts=_al2(NEW), baseline=baseline(AL2, rule(until=date(2025, 10, 31))), code=ReasonCode.AFTER_CUTOFF,
        says=("cut-off", "2025-11-01"), remedy="--approved-patches curl",
    ),
    "rejected": Situation(
        facts=_al2(NEW), baseline=replace(RULES, rejected_patches=("nginx", "curl*")), code=ReasonCode.REJECTED,
        says=("rejected entry 'curl*'",), remedy="--rejected-patches nginx",
    ),
    "rejected by an advisory": Situation(
        facts=_al2(NEW), baseline=replace(RULES, rejected_patches=("ALAS2-2025-2",)), code=ReasonCode.REJECTED,
        says=("'ALAS2-2025-2'", "not upgraded to 7.2-1"), remedy="--rejected-patches '[]'",
    ),
    "rejected, kept as installed": Situation(
        facts=_al2(), baseline=replace(RULES, rejected_patches=("curl",)), code=ReasonCode.REJECTED,
        says=("installed beside the baseline", "'curl'"), remedy="--rejected-patches '[]'",
    ),
    "rejected and blocked": Situation(
        facts=_al2(), baseline=blocking(AL2, SECURITY_7_DAYS, rejected_patches=("curl",)),
        code=ReasonCode.REJECTED_BLOCKED, says=("is installed, yet", "BLOCK"), remedy="--rejected-patches '[]'",
    ),
    "no rules": Situation(
        facts=_al2(NEW), baseline=baseline(AL2, approved_patches=("nginx",)), code=ReasonCode.NO_RULES,
        says=("has no rules",), remedy="--approved-patches nginx curl",
    ),
    "the newest is not approved": Situation(
        facts=_al2(NEW, NEWEST), baseline=RULES, code=ReasonCode.NEWER_NOT_APPROVED,
        says=("7.1-1 -> 7.2-1 is missing", "7.3-1 is newer", "2025-11-26"), remedy="--approved-patches curl",
    ),
    "nothing on offer": Situation(
        facts=node(AL2, rpm("curl", "7.1-1")), baseline=RULES, code=ReasonCode.NO_UPDATE_ON_OFFER,
        says=("newest version",),
    ),
    "not installed": Situation(
        facts=_al2(), baseline=RULES, code=ReasonCode.NOT_INSTALLED, query="nginx", says=("never installs",),
    ),
    "held": Situation(
        facts=_ubuntu(DEB_NEW, holds=(DEB_SLOT,)), baseline=baseline(UBUNTU, ANY), code=ReasonCode.HELD,
        says=("held", "never overridden"), remedy="apt-mark unhold curl",
    ),
    "locked on an rpm system": Situation(
        facts=_al2(NEW, holds=(SLOT,)), baseline=RULES, code=ReasonCode.HELD, says=("held",),
        remedy="yum versionlock delete curl",
    ),
    "excluded on a dnf system": Situation(
        facts=node(OperatingSystem.ROCKY_LINUX, OLD, offers=(NEW,), holds=(SLOT,)),
        baseline=baseline(OperatingSystem.ROCKY_LINUX, replace(ANY, enable_non_security=True)), code=ReasonCode.HELD,
        says=("a version lock, or by exclude= in its dnf.conf", "never overridden"),
        remedy="or take it out of exclude= in /etc/dnf/dnf.conf",
    ),
    "phased": Situation(
        facts=_ubuntu(replace(DEB_NEW, phased=20), candidate="7.1"), baseline=baseline(UBUNTU, ANY),
        code=ReasonCode.PHASED, says=("gradual roll-out",), details="20 %",
    ),
    "failed in the last Install": Situation(
        facts=_al2(NEW), baseline=RULES, history=FAILED, code=ReasonCode.FAILED_LAST_INSTALL,
        says=("last Install",), details="%post failed, exit status 1", remedy="Operation=Install",
    ),
    "failed because something was blocked": Situation(
        facts=_al2(NEW), baseline=RULES, code=ReasonCode.FAILED_LAST_INSTALL,
        history=replace(FAILED, failed_reasons={(SLOT, "7.2-1"): BLOCKED}),
        says=("could not bring it in: it would bring in libcurl.x86_64:0:7.2-1, which", "rejected list blocks."),
        details="BLOCKED_DEPENDENCY", remedy="take that package off the rejected list of our-baseline",
    ),
    "failed because of a lock": Situation(
        facts=_al2(NEW), baseline=RULES, code=ReasonCode.FAILED_LAST_INSTALL,
        history=replace(FAILED, failed_reasons={(SLOT, "7.2-1"): kept_text("LOCKED", problem_words("LOCKED"))}),
        says=("could not bring it in: another program held the package manager's lock.",),
        details="LOCKED", remedy="let the other program end, then aws ssm send-command",
    ),
    "a script failed, which rpm leaves as installed": Situation(
        facts=node(OperatingSystem.ROCKY_LINUX, NEW), baseline=baseline(OperatingSystem.ROCKY_LINUX, ANY),
        code=ReasonCode.SCRIPT_FAILED,
        history=replace(FAILED, failed_reasons={(SLOT, "7.2-1"): kept_text(SCRIPT_FAILED, "its POSTIN script failed")}),
        says=("curl.x86_64 7.2-1 is there, but a script of it failed in the last Install: its POSTIN script failed.",),
        details="SCRIPT_FAILED: its POSTIN", remedy="correct the cause, then dnf -y reinstall curl",
    ),
    "came in by hand after it had failed": Situation(
        facts=node(AL2, NEW), baseline=RULES, code=ReasonCode.UP_TO_DATE, history=FAILED, says=("is installed",),
    ),
    "left out of the last plan": Situation(
        facts=_al2(NEW), baseline=RULES, code=ReasonCode.LEFT_OUT_OF_PLAN,
        left_out={(SLOT, "7.2-1"): BLOCKED},
        says=("is approved and missing, but the last Plan leaves it out: it would bring in libcurl",),
        details="BLOCKED_DEPENDENCY", remedy="or reject this one too",
    ),
    "left out of the last plan in another version": Situation(
        facts=_al2(NEW), baseline=RULES, code=ReasonCode.APPROVED_BY_RULE,
        left_out={(SLOT, "7.1-9"): BLOCKED}, says=("is missing",), remedy="Operation=Install",
    ),
    "waits for a reboot": Situation(
        facts=_al2(), baseline=RULES, history=History(pending_reboot=frozenset({(SLOT, "7.1-1", "boot-1")})),
        code=ReasonCode.PENDING_REBOOT, says=("not been booted",), remedy="reboot the node",
    ),
    "a CVE on apt": Situation(
        facts=_ubuntu(DEB_NEW), baseline=baseline(UBUNTU, ANY), query="CVE-2025-0002",
        code=ReasonCode.NO_CVE_SOURCE, says=("no CVE or advisory data",), remedy="by name",
    ),
    "an unknown CVE": Situation(
        facts=_al2(NEW), baseline=RULES, query="CVE-2024-99999", code=ReasonCode.CVE_NOT_FOUND, says=("no notice",),
    ),
    "a fixed CVE": Situation(
        facts=_al2(NEW), baseline=RULES, query="cve-2025-0001", code=ReasonCode.CVE_FIXED,
        says=("CVE-2025-0001 is fixed", "7.1-1"),
    ),
    "an open CVE that an approved version fixes": Situation(
        facts=_al2(NEW), baseline=RULES, query="CVE-2025-0002", code=ReasonCode.CVE_OPEN,
        says=("is open", "7.2-1 fixes it", "rule 1"), remedy="Operation=Install",
    ),
    "an open CVE whose fix waits": Situation(
        facts=_al2(NEWEST), baseline=RULES, query="CVE-2025-0003", code=ReasonCode.CVE_OPEN,
        says=("is open", "2025-11-26"), remedy="--approved-patches curl",
    ),
    "an advisory that is installed": Situation(
        facts=_al2(NEW), baseline=RULES, query="ALAS2-2025-1", code=ReasonCode.UP_TO_DATE, says=("is fixed",),
    ),
    "an advisory that waits": Situation(
        facts=_al2(NEWEST), baseline=RULES, query="alas2-2025-3", code=ReasonCode.PENDING_APPROVAL,
        says=("ALAS2-2025-3 is open", "2025-11-26"), remedy="--approved-patches curl",
    ),
    "an unknown advisory": Situation(
        facts=_al2(NEW), baseline=RULES, query="ALAS2-2019-1", code=ReasonCode.ADVISORY_NOT_FOUND, says=("no notice",),
    ),
    "an untrusted repository": Situation(
        facts=_ubuntu(deb("curl", "7.3", UNSIGNED)), baseline=baseline(UBUNTU, ANY),
        code=ReasonCode.UNTRUSTED_REPOSITORY, says=("does not trust",), remedy="signing key",
    ),
    "a local package": Situation(
        facts=node(UBUNTU, deb("curl", "7.1"), deb("vim", "1", UPDATES)), baseline=baseline(UBUNTU, ANY),
        code=ReasonCode.LOCAL_PACKAGE, says=("none of the node's repositories",),
    ),
    "no facts": Situation(
        facts=None, baseline=RULES, code=ReasonCode.UNJUDGED, says=("has not reported",), remedy="Operation=Scan",
    ),
    "other sources": Situation(
        facts=_al2(NEW),
        baseline=replace(RULES, sources=(PatchSource(name="own", products=("*",), configuration="[own]"),)),
        code=ReasonCode.UNJUDGED, says=("other package sources",), remedy="Operation=Scan", details="NEEDS_SCAN",
    ),
    "another system": Situation(
        facts=_ubuntu(), baseline=RULES, code=ReasonCode.UNJUDGED, says=("is for AMAZON_LINUX_2",),
        details="WRONG_OPERATING_SYSTEM",
    ),
    "a Windows update that does not apply": Situation(
        facts=node(WINDOWS, repository_matches=(kb("KB5000001", classification="Updates"),)),
        baseline=baseline(WINDOWS, ANY), query="kb5000001", code=ReasonCode.NOT_APPLICABLE, says=("does not apply",),
    ),
    "a Windows security update without approval": Situation(
        facts=node(WINDOWS, applicable_updates=(kb("KB5000002", classification="SecurityUpdates"),)),
        baseline=baseline(WINDOWS), query="KB5000002", code=ReasonCode.AVAILABLE_SECURITY_UPDATE,
        says=("does not approve",),
    ),
}  # fmt: skip


def _ask(situation: Situation, **changed: Any) -> tuple[Explanation, ...]:
    asked = replace(situation, **changed)
    return explain(
        asked.facts, asked.history, asked.baseline, asked.catalogue, TODAY, asked.query, left_out=asked.left_out
    )


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(name):
    situation = SITUATIONS[name]
    (explanation,) = _ask(situation)
    assert explanation.code is situation.code, explanation
    for words in situation.says:
        assert words in explanation.sentence
    assert situation.details in "\n".join(explanation.details)
    if situation.remedy is None:
        assert explanation.remedy == ""
    else:
        assert situation.remedy in explanation.remedy


def test_every_code_has_a_situation():
    assert {situation.code for situation in SITUATIONS.values()} == set(ReasonCode)


@pytest.mark.parametrize("name", [n for n, s in SITUATIONS.items() if s.query == "curl" and s.facts is not None])
def test_the_explained_state_is_the_judged_one(name):
    situation = SITUATIONS[name]
    (explanation,) = _ask(situation)
    if explanation.code is ReasonCode.UNJUDGED:
        assert explanation.state is None
        return
    judgement = judged(situation.facts, situation.baseline, history=situation.history, catalogue=situation.catalogue)
    assert explanation.state is the_line(judgement, "curl").state


def test_a_name_is_explained_for_each_architecture_and_a_full_id_for_one():
    other = replace(OLD, arch="i686")
    facts = node(AL2, OLD, other, offers=(NEW,))
    by_name = explain(facts, History(), RULES, Catalogue(), TODAY, "curl")
    assert {(one.slot, one.code) for one in by_name} == {
        (SLOT, ReasonCode.APPROVED_BY_RULE),
        (Slot(name="curl", arch="i686"), ReasonCode.UP_TO_DATE),
    }
    (one,) = explain(facts, History(), RULES, Catalogue(), TODAY, "curl.i686")
    assert one.slot == Slot(name="curl", arch="i686")


def test_a_wait_is_explained_before_a_newer_version_that_will_never_be_approved():
    facts = _ubuntu(deb("curl", "7.2", SECURITY), deb("curl", "7.9", UPDATES))
    catalogue = seen(facts.upgradable[0].offers[0], when="2025-11-19")
    (one,) = explain(facts, History(), baseline(UBUNTU, rule()), catalogue, TODAY, "curl")
    assert one.code is ReasonCode.PENDING_APPROVAL
    assert "not upgraded to 7.2" in one.sentence


def test_the_remedy_for_a_predefined_baseline_is_one_of_your_own():
    facts = _ubuntu(deb("curl", "7.9", UPDATES))
    (one,) = explain(facts, History(), DEFAULT_FOR[UBUNTU], Catalogue(), TODAY, "curl")
    assert one.code is ReasonCode.NOT_SECURITY
    assert "create a baseline of your own" in one.remedy
    assert BASELINE_ID not in one.remedy


def test_hostile_names_reach_neither_the_terminal_nor_a_shell():
    evil = deb("x;reboot\x1b[2J\n", "1", UPDATES)
    offer = replace(evil, version="2", repositories=(SECURITY,))
    facts = node(UBUNTU, evil, offers=(offer,), holds=(evil.slot,))
    (one,) = explain(facts, History(), baseline(UBUNTU, ANY), Catalogue(), TODAY, "x;reboot\x1b[2J\n.amd64")
    assert one.code is ReasonCode.HELD
    for text in (one.sentence, one.remedy, *one.details):
        assert text.isprintable()
    assert one.remedy.startswith("apt-mark unhold 'x;reboot")


@pytest.mark.parametrize("query", ["", "   ", "x" * 257])
def test_an_impossible_query_is_refused(query):
    with pytest.raises(Invalid):
        explain(_al2(), History(), RULES, Catalogue(), TODAY, query)
