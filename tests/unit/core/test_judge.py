"""Edges of judging that the worked examples leave out. Source: spec/patch-baselines.md 3.5, 6; decisions.md 9-12."""

from dataclasses import replace

import pytest
from tests.unit.core.builders import (
    SECURITY,
    SECURITY_7_DAYS,
    TODAY,
    UPDATES,
    at,
    baseline,
    blocking,
    deb,
    judged,
    kb,
    node,
    notice,
    rpm,
    rule,
    the_line,
)

from patchwright.core.baselines import PatchSource
from patchwright.core.facts import UpgradeLine
from patchwright.core.judge import judge
from patchwright.core.judgement import Catalogue, History, ReasonCode, Unjudged, UnjudgedCode
from patchwright.core.plan import targets_of
from patchwright.core.unjudged import sources_digest
from patchwright.core.values import ComplianceLevel, ComplianceStatus, Family, OperatingSystem, PatchState, Slot

AL2, UBUNTU, WINDOWS = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU, OperatingSystem.WINDOWS
RULES = baseline(AL2, rule(days=0))
SLOT = Slot(name="curl", arch="x86_64")
OLD = rpm("curl", "7.1-1")


def _offer(version: str, *cves: str, **more):
    return rpm("curl", version, notice(f"ALAS-{version}", updated="2025-10-01", cves=cves), **more)


def test_only_the_newest_installed_version_is_judged():
    kernels = [rpm("kernel", f"5.{minor}-1", notice(updated="2025-01-01")) for minor in (9, 10, 4)]
    judgement = judged(node(AL2, *kernels), RULES)
    line = the_line(judgement, "kernel")
    assert (line.title, line.state) == ("kernel.x86_64:0:5.10-1", PatchState.INSTALLED)


def test_offers_no_newer_than_the_newest_installed_are_no_update():
    kernels = (rpm("kernel", "5.9-1"), rpm("kernel", "5.10-1"))
    facts = node(AL2, *kernels, offers=(rpm("kernel", "5.10-1", notice()), rpm("kernel", "5.9-2", notice())))
    assert judged(facts, RULES).counts.missing == 0


def test_each_architecture_is_its_own_line_but_noarch_is_native():
    facts = node(AL2, OLD, replace(OLD, arch="i686"), offers=(replace(_offer("7.2-1"), arch="i686"),))
    states = {line.patch_id: line.state for line in judged(facts, RULES).lines}
    assert states == {"curl.x86_64": PatchState.INSTALLED_OTHER, "curl.i686": PatchState.MISSING}
    moved = node(AL2, replace(OLD, arch="noarch"), replace(OLD, version="7.2-1"))
    assert [line.title for line in judged(moved, RULES).lines] == ["curl.x86_64:0:7.2-1"]


def test_a_package_that_turns_arch_independent_stays_one_line():
    old, new = deb("tzdata", "1"), deb("tzdata", "2", SECURITY, arch="all")
    facts = replace(node(UBUNTU, old), upgradable=(UpgradeLine(installed=old, offers=(new,), candidate="2"),))
    (line,) = judged(facts, baseline(UBUNTU, rule(days=0))).lines
    assert (line.state, line.patch_id, line.title) == (PatchState.MISSING, "tzdata.amd64", "tzdata.all:2")


def test_cves_are_those_of_every_version_up_to_the_target():
    offers = (
        _offer("7.2-1", "CVE-2"),
        _offer("7.3-1", "CVE-3", "CVE-1"),
        rpm("curl", "7.4-1", notice(cves=("CVE-4",))),
    )
    rejected = baseline(AL2, rule(days=0), rejected_patches=("7.4-1",))
    line = the_line(judged(node(AL2, OLD, offers=offers), rejected), "curl")
    assert line.target.version == "7.3-1"
    assert line.cves == ("CVE-1", "CVE-2", "CVE-3")


def test_of_equal_versions_the_highest_level_wins():
    low = rpm("curl", "7.2-1", notice("A-1", "Low", updated="2025-10-01"))
    rules = baseline(
        AL2, rule(days=0, compliance_level=ComplianceLevel.LOW),
        replace(SECURITY_7_DAYS, compliance_level=ComplianceLevel.HIGH),
    )  # fmt: skip
    for offers in ((low, _offer("7.2-1")), (_offer("7.2-1"), low)):
        line = the_line(judged(node(AL2, OLD, offers=offers), rules), "curl")
        assert (line.level, line.severity) == (ComplianceLevel.HIGH, "Important")


def test_installed_other_shows_no_classification_but_installed_does():
    rules = baseline(AL2, SECURITY_7_DAYS)
    other = rpm("a", "1-1", notice(severity="Low"))
    matched = rpm("b", "1-1", notice())
    judgement = judged(node(AL2, other, matched), rules)
    assert [(line.classification, line.severity) for line in judgement.lines] == [("", ""), ("Security", "Important")]


def test_block_with_a_newer_version_that_is_not_rejected_is_missing():
    rules = blocking(AL2, rule(days=0), rejected_patches=("curl-7.1-1",))
    assert the_line(judged(node(AL2, OLD, offers=(_offer("7.2-1"),)), rules), "curl").state is PatchState.MISSING
    assert the_line(judged(node(AL2, OLD), rules), "curl").state is PatchState.INSTALLED_REJECTED


def test_block_concerns_only_what_is_rejected():
    rules = blocking(AL2, rejected_patches=("vim",))
    assert the_line(judged(node(AL2, OLD), rules), "curl").state is PatchState.INSTALLED_OTHER


class TestFailed:
    facts = node(AL2, OLD, offers=(_offer("7.2-1"),))
    history = History(failed=frozenset({(SLOT, "7.2-1")}), failed_reasons={(SLOT, "7.2-1"): "no space"})

    def test_the_exact_version_failed(self):
        line = the_line(judged(self.facts, RULES, history=self.history), "curl")
        assert (line.state, line.reason.details) == (PatchState.FAILED, ("no space",))

    def test_another_target_is_missing_again(self):
        facts = node(AL2, OLD, offers=(_offer("7.2-1"), _offer("7.3-1")))
        assert the_line(judged(facts, RULES, history=self.history), "curl").state is PatchState.MISSING

    def test_a_baseline_that_no_longer_asks_for_it_forgets_it(self):
        assert judged(self.facts, baseline(AL2), history=self.history).counts.failed == 0

    def test_a_failure_of_a_held_package_says_that_it_is_held_and_is_no_target(self):
        judgement = judged(node(AL2, OLD, offers=(_offer("7.2-1"),), holds=(SLOT,)), RULES, history=self.history)
        line = the_line(judgement, "curl")
        assert (line.state, line.reason.code) == (PatchState.FAILED, ReasonCode.HELD)
        assert targets_of(judgement) == ()


class TestPendingReboot:
    history = History(pending_reboot=frozenset({(SLOT, "7.1-1", "boot-1")}))

    @pytest.mark.parametrize(
        ("installed", "boot_id", "state"),
        [
            ("7.1-1", "boot-1", PatchState.INSTALLED_PENDING_REBOOT),
            ("7.1-1", "boot-2", PatchState.INSTALLED_OTHER),
            ("7.2-1", "boot-1", PatchState.INSTALLED_OTHER),
        ],
    )
    def test_while_that_version_and_that_boot_last(self, installed, boot_id, state):
        facts = node(AL2, rpm("curl", installed), boot_id=boot_id)
        assert the_line(judged(facts, RULES, history=self.history), "curl").state is state

    def test_a_patch_approved_after_the_install_is_missing(self):
        facts = node(AL2, OLD, offers=(_offer("7.2-1"),))
        assert the_line(judged(facts, RULES, history=self.history), "curl").state is PatchState.MISSING

    def test_it_covers_a_rejected_package_too(self):
        rules = blocking(AL2, rejected_patches=("curl",))
        line = the_line(judged(node(AL2, OLD), rules, history=self.history), "curl")
        assert line.state is PatchState.INSTALLED_PENDING_REBOOT


@pytest.mark.parametrize(
    ("phased", "candidate", "code"),
    [
        (10, "1", ReasonCode.PHASED),
        (10, "2", ReasonCode.APPROVED_BY_RULE),
        (100, "1", ReasonCode.APPROVED_BY_RULE),
        (None, "1", ReasonCode.APPROVED_BY_RULE),
    ],
)
def test_a_gradual_roll_out_is_missing_but_no_target_until_the_manager_takes_it(phased, candidate, code):
    offer = replace(deb("curl", "2", SECURITY), phased=phased)
    judgement = judged(node(UBUNTU, deb("curl", "1"), offers=(offer,), candidate=candidate), baseline(UBUNTU, rule()))
    line = the_line(judgement, "curl")
    assert (line.state, line.reason.code) == (PatchState.MISSING, code)
    assert bool(targets_of(judgement)) is (code is ReasonCode.APPROVED_BY_RULE)


def test_a_pending_version_above_the_target_counts_as_pending_approval():
    facts = node(AL2, OLD, offers=(_offer("7.2-1"), rpm("curl", "7.3-1", notice(updated="2025-11-19"))))
    counts = judged(facts, baseline(AL2, SECURITY_7_DAYS)).counts
    assert (counts.missing, counts.pending_approval) == (1, 1)


def test_matched_packages_that_are_not_installed_are_counted_per_slot_and_not_listed():
    absent = (rpm("nginx", "1-1", notice()), rpm("nginx", "1-2", notice()), rpm("php", "1-1"))
    judgement = judged(node(AL2, OLD, repository_matches=absent), RULES)
    assert judgement.counts.not_applicable == 1
    assert judgement.counts.unreported_not_applicable == -1
    assert len(judgement.lines) == 1


class TestWindows:
    def test_states_of_updates(self):
        installed, wanted = kb("KB1"), kb("KB2", classification="SecurityUpdates", severity="Critical")
        rejected = kb("KB3", classification="SecurityUpdates")
        rules = blocking(WINDOWS, rule(days=0), rejected_patches=("KB3", "KB4"))
        facts = node(WINDOWS, installed, kb("KB4"), applicable_updates=(wanted, rejected))
        judgement = judged(facts, rules)
        assert {line.patch_id: line.state for line in judgement.lines} == {
            "KB1": PatchState.INSTALLED,
            "KB2": PatchState.MISSING,
            "KB4": PatchState.INSTALLED_REJECTED,
        }
        assert judgement.counts.security_non_compliant == 1
        assert judgement.counts.unreported_not_applicable == 0
        assert [line.target.name for line in targets_of(judgement)] == ["KB2"]

    def test_an_update_that_waits_unseen_is_counted_and_wakes(self):
        update = kb("KB5", classification="Updates", released_at=at("2025-11-18"))
        judgement = judged(node(WINDOWS, applicable_updates=(update,)), baseline(WINDOWS, rule()))
        assert judgement.lines == ()
        assert (judgement.counts.pending_approval, judgement.next_change_at) == (1, at("2025-11-25"))

    def test_a_failed_update(self):
        update = kb("KB6")
        history = History(failed=frozenset({(update.slot, "")}))
        judgement = judged(node(WINDOWS, applicable_updates=(update,)), baseline(WINDOWS, rule()), history=history)
        assert judgement.counts.failed == 1


def test_titles_of_each_family():
    assert deb("a", "1:2-3", UPDATES).title == "a.amd64:1:2-3"
    assert rpm("a", "2-3").title == "a.x86_64:0:2-3"
    assert rpm("a", "1:2-3").title == "a.x86_64:1:2-3"
    assert replace(rpm("wget", "1.21"), family=Family.MACOS).title == "wget.1.21"
    assert kb("KB1").title == "Update KB1"


class TestUnjudged:
    facts = node(AL2, OLD)

    def _code(self, facts, rules) -> UnjudgedCode:
        answer = judge(facts, History(), rules, Catalogue(), TODAY)
        assert isinstance(answer, Unjudged)
        assert answer.reason
        return answer.code

    def test_no_facts(self):
        assert self._code(None, RULES) is UnjudgedCode.NO_FACTS
        assert self._code(node(AL2), RULES) is UnjudgedCode.NO_FACTS

    def test_another_system(self):
        assert self._code(self.facts, baseline(UBUNTU)) is UnjudgedCode.WRONG_OPERATING_SYSTEM

    @pytest.mark.parametrize("manager", ["dnf5", "apt", "", "zypper"])
    def test_a_manager_that_is_not_understood(self, manager):
        facts = replace(self.facts, state=replace(self.facts.state, manager=manager))
        assert self._code(facts, RULES) is UnjudgedCode.UNSUPPORTED_MANAGER

    def test_sources_bind_the_judgement_to_facts_that_were_gathered_from_them(self):
        own = PatchSource(name="own", products=("AmazonLinux2",), configuration="[own]\nbaseurl=https://u:p@x/")
        rules = replace(RULES, sources=(own,))
        facts = replace(self.facts, product="AmazonLinux2")
        assert self._code(facts, rules) is UnjudgedCode.NEEDS_SCAN
        scanned = replace(facts, state=replace(facts.state, sources_digest=sources_digest(rules, "AmazonLinux2")))
        assert judged(scanned, rules).status is ComplianceStatus.COMPLIANT
        assert self._code(scanned, RULES) is UnjudgedCode.NEEDS_SCAN
        assert self._code(replace(facts, product="AmazonLinux1"), rules) is UnjudgedCode.NO_MATCHING_SOURCE

    def test_a_digest_of_the_hosts_own_sources_does_not_matter(self):
        facts = replace(self.facts, state=replace(self.facts.state, sources_digest="sha256:abc"))
        assert judged(facts, RULES).status is ComplianceStatus.COMPLIANT
