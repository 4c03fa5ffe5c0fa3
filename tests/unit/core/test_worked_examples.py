"""The 26 worked examples of spec/patch-baselines.md 10, each by its number, against the pure core."""

from datetime import date, timedelta

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
    only,
    rpm,
    rule,
    the_line,
)
from tests.unit.core.hosts import ScriptedHost, change, settled

from patchwright.core.baselines import FilterKey, RejectedAction
from patchwright.core.errors import AlreadyExists, InUse
from patchwright.core.exit_codes import ExitCode
from patchwright.core.groups import check_removable, register
from patchwright.core.judgement import History, ReasonCode, ReleaseSource
from patchwright.core.outcome import Said, after_install
from patchwright.core.overrides import baseline_override, install_override_list, override_targets
from patchwright.core.plan import DropCode, targets_of
from patchwright.core.predefined import DEFAULT_FOR
from patchwright.core.reboot import RebootReason, pending_after, reboot_decision
from patchwright.core.snapshots import SnapshotKey, freeze
from patchwright.core.values import (
    BaselineId,
    ComplianceLevel,
    ComplianceStatus,
    Family,
    OperatingSystem,
    PatchOperation,
    PatchState,
    RebootOption,
    Scope,
    Slot,
)

AL2 = OperatingSystem.AMAZON_LINUX_2
UBUNTU = OperatingSystem.UBUNTU
COMPLIANT, NON_COMPLIANT = ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT
CURL = rpm("curl", "7.1-1.amzn2")


def _curl_72(**dates) -> object:
    return rpm("curl", "7.2-1.amzn2", notice("ALAS2-2025-2", cves=("CVE-2025-0002", "CVE-2025-0001"), **dates))


def test_01_released_on_the_last_day_that_the_delay_lets_through():
    facts = node(AL2, CURL, offers=(_curl_72(updated="2025-11-13 23:10"),))
    judgement = judged(facts, baseline(AL2, SECURITY_7_DAYS))
    line = the_line(judgement, "curl")
    assert line.state is PatchState.MISSING
    assert line.title == "curl.x86_64:0:7.2-1.amzn2"
    assert line.patch_id == "curl.x86_64"
    assert line.cves == ("CVE-2025-0001", "CVE-2025-0002")
    assert line.reason.approved_at == at("2025-11-20")
    assert (line.reason.rule, line.reason.release_source) == (1, ReleaseSource.NOTICE_UPDATED)
    assert judgement.status is NON_COMPLIANT


def test_02_released_a_second_later_waits_a_day_longer():
    facts = node(AL2, CURL, offers=(_curl_72(updated="2025-11-14"),))
    judgement = judged(facts, baseline(AL2, SECURITY_7_DAYS))
    assert the_line(judgement, "curl").state is PatchState.INSTALLED_OTHER
    assert judgement.status is COMPLIANT
    assert judgement.next_change_at == at("2025-11-21")
    assert judgement.counts.pending_approval == 1
    listed = node(AL2, rpm("curl", "7.1-1.amzn2", notice(updated="2025-09-01")), offers=facts.upgradable[0].offers)
    assert the_line(judged(listed, baseline(AL2, SECURITY_7_DAYS)), "curl").state is PatchState.INSTALLED


def test_03_a_reissued_notice_restarts_the_wait():
    facts = node(AL2, CURL, offers=(_curl_72(issued="2025-11-01", updated="2025-11-19"),))
    rules = baseline(AL2, SECURITY_7_DAYS)
    assert judged(facts, rules, now=at("2025-11-25 23:59:59")).counts.missing == 0
    assert judged(facts, rules, now=at("2025-11-26")).counts.missing == 1


def test_04_the_newest_approved_version_is_the_target():
    newer = rpm("curl", "7.3-1.amzn2", notice("ALAS2-2025-3", updated="2025-11-19"))
    facts = node(AL2, CURL, offers=(_curl_72(updated="2025-11-13 23:10"), newer))
    line = the_line(judged(facts, baseline(AL2, SECURITY_7_DAYS)), "curl")
    assert line.target is not None
    assert line.target.version == "7.2-1.amzn2"


def test_05_the_highest_level_of_list_and_rules_wins():
    critical = rule(*SECURITY_7_DAYS.filters, compliance_level=ComplianceLevel.CRITICAL)
    rules = baseline(AL2, critical, approved_patches=("curl*",), approved_patches_level=ComplianceLevel.HIGH)
    judgement = judged(node(AL2, CURL, offers=(_curl_72(updated="2025-11-13 23:10"),)), rules)
    line = the_line(judgement, "curl")
    assert (line.state, line.level) == (PatchState.MISSING, ComplianceLevel.CRITICAL)
    assert judgement.counts.critical_non_compliant == 1
    assert judgement.counts.security_non_compliant == 1
    assert judgement.counts.other_non_compliant == 0
    assert judgement.overall_level is ComplianceLevel.CRITICAL


@pytest.mark.parametrize(
    ("number", "action", "state", "status"),
    [
        (6, RejectedAction.ALLOW_AS_DEPENDENCY, PatchState.INSTALLED_OTHER, COMPLIANT),
        (7, RejectedAction.BLOCK, PatchState.INSTALLED_REJECTED, NON_COMPLIANT),
    ],
)
def test_06_07_rejection_beats_approval(number, action, state, status):
    rules = baseline(
        AL2, SECURITY_7_DAYS, approved_patches=("curl",), rejected_patches=("curl",), rejected_patches_action=action
    )
    judgement = judged(node(AL2, CURL, offers=(_curl_72(updated="2025-11-01"),)), rules)
    assert the_line(judgement, "curl").state is state
    assert judgement.status is status
    assert targets_of(judgement) == ()
    assert judgement.counts.installed_rejected == (1 if number == 7 else 0)


@pytest.mark.parametrize(
    ("others_went_in", "internal", "final"),
    [
        (False, ExitCode.DEPENDENCY_FAILURE, ExitCode.DEPENDENCY_FAILURE),
        (True, ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES, ExitCode.DEPENDENCY_FAILURE),
    ],
)
def test_08_a_blocked_dependency_stops_the_target_that_needs_it(others_went_in, internal, final):
    bash, bash_new = rpm("bash", "5.0-1"), rpm("bash", "5.0-2", notice("ALAS2-2025-9", updated="2025-11-01"))
    libcurl = rpm("libcurl", "7.1-1.amzn2")
    installed = (CURL, libcurl, bash) if others_went_in else (CURL, libcurl)
    facts = node(AL2, *installed, offers=(_curl_72(updated="2025-11-01"), bash_new))
    rules = blocking(AL2, SECURITY_7_DAYS, rejected_patches=("libcurl",))
    scan = judged(facts, rules)
    assert the_line(scan, "curl").state is PatchState.MISSING
    host = ScriptedHost(brings={"curl": [change(rpm("libcurl", "7.2-1.amzn2"), "7.1-1.amzn2")]})
    made = settled(scan, facts, rules, host)
    assert [(drop.slot.name, drop.code) for drop in made.dropped] == [("curl", DropCode.BLOCKED_DEPENDENCY)]
    assert [item.slot.name for item in made.items] == (["bash"] if others_went_in else [])
    after = node(AL2, CURL, libcurl, bash_new, offers=(_curl_72(updated="2025-11-01"),))
    outcome = after_install(made, after, Said(messages={}))
    code = outcome.exit_code(reboots=others_went_in)
    assert (code, code.after_reboot) == (internal, final)
    line = the_line(judged(after, rules, history=outcome.remembered(History())), "curl")
    assert line.state is PatchState.FAILED
    assert "libcurl" in line.reason.details[0]


def test_09_ubuntu_default_takes_only_security_archives():
    facts = node(UBUNTU, deb("vim", "2:8.2-1"), offers=(deb("vim", "2:8.2-2", UPDATES),))
    judgement = judged(facts, DEFAULT_FOR[UBUNTU])
    assert the_line(judgement, "vim").state is PatchState.INSTALLED_OTHER
    assert judgement.status is COMPLIANT


@pytest.mark.parametrize(("non_security", "target"), [(False, "2"), (True, "3")])
def test_10_the_flag_decides_between_the_archives(non_security, target):
    facts = node(UBUNTU, deb("openssl", "1"), offers=(deb("openssl", "2", SECURITY), deb("openssl", "3", UPDATES)))
    rules = baseline(UBUNTU, rule(only(FilterKey.PRIORITY, "Optional"), enable_non_security=non_security))
    line = the_line(judged(facts, rules), "openssl")
    assert line.target is not None
    assert line.target.version == target
    assert line.classification == ("" if non_security else "Security")
    assert line.severity == "optional"


def test_11_priority_must_match():
    facts = node(UBUNTU, deb("openssl", "1"), offers=(deb("openssl", "2", SECURITY, priority="optional"),))
    judgement = judged(facts, baseline(UBUNTU, rule(only(FilterKey.PRIORITY, "Required"))))
    assert judgement.counts.missing == 0
    assert the_line(judgement, "openssl").reason.code is ReasonCode.FILTERED_OUT


@pytest.mark.parametrize("flag", [False, True])
def test_12_centos_without_notices_has_no_classification_to_match(flag):
    system = OperatingSystem.CENTOS
    facts = node(system, rpm("bash", "4-1"), offers=(rpm("bash", "4-2", built_at=at("2025-10-21")),))
    rules = baseline(system, rule(only(FilterKey.CLASSIFICATION, "Security"), enable_non_security=flag))
    judgement = judged(facts, rules)
    assert judgement.counts.missing == 0
    assert judgement.status is COMPLIANT


def test_13_centos_with_any_value_and_the_flag_goes_by_build_time():
    system = OperatingSystem.CENTOS
    facts = node(system, rpm("bash", "4-1"), offers=(rpm("bash", "4-2", built_at=TODAY - timedelta(days=30)),))
    anything = (only(FilterKey.CLASSIFICATION, "*"), only(FilterKey.SEVERITY, "*"))
    line = the_line(judged(facts, baseline(system, rule(*anything, enable_non_security=True))), "bash")
    assert line.state is PatchState.MISSING
    assert line.reason.release_source is ReleaseSource.BUILD_TIME
    assert judged(facts, baseline(system, rule(*anything))).counts.missing == 0


def test_14_rhel_8_without_notices_applies_nothing():
    system = OperatingSystem.REDHAT_ENTERPRISE_LINUX
    old, new = (rpm("bash", version, family=Family.DNF) for version in ("4-1.el8", "4-2.el8"))
    facts = node(system, old, offers=(new,), product="RedhatEnterpriseLinux8.9")
    judgement = judged(facts, DEFAULT_FOR[system])
    assert (judgement.counts.missing, judgement.status) == (0, COMPLIANT)
    anything = rule(only(FilterKey.CLASSIFICATION, "*"), enable_non_security=True)
    assert judged(facts, baseline(system, anything)).counts.missing == 1


def test_15_sles_the_filter_still_decides():
    system = OperatingSystem.SUSE
    recommended = notice("SUSE-SLE-2025-1", "Important", "Recommended", updated="2025-10-01")
    old, new = rpm("zlib", "1-1", family=Family.ZYPPER), rpm("zlib", "1-2", recommended, family=Family.ZYPPER)
    rules = baseline(system, rule(only(FilterKey.CLASSIFICATION, "Security"), enable_non_security=True))
    assert judged(node(system, old, offers=(new,)), rules).counts.missing == 0
    wider = baseline(system, rule(only(FilterKey.CLASSIFICATION, "Security", "Recommended")))
    assert judged(node(system, old, offers=(new,)), wider).counts.missing == 1


def _three_patched(boot_id: str):
    packages = [rpm(name, "2-1", notice(f"ALAS2-{name}", updated="2025-10-01")) for name in ("a", "b", "c")]
    return node(AL2, *packages, boot_id=boot_id)


def _no_reboot_history() -> History:
    after = _three_patched("boot-1")
    new = [(item.package.slot, item.package.version) for item in after.installed]
    rows = pending_after(History(), after, new, PatchOperation.INSTALL, reboots=False)
    return History(pending_reboot=rows)


def test_16_no_reboot_leaves_patches_pending_until_the_next_boot():
    rules, history = baseline(AL2, SECURITY_7_DAYS), _no_reboot_history()
    for _ in ("right after the Install", "a later Scan without a reboot"):
        judgement = judged(_three_patched("boot-1"), rules, history=history)
        assert judgement.counts.installed_pending_reboot == 3
        assert judgement.counts.installed == 0
        assert judgement.status is NON_COMPLIANT
        rows = pending_after(history, _three_patched("boot-1"), [], PatchOperation.SCAN, reboots=False)
        history = History(pending_reboot=rows)
    rebooted = judged(_three_patched("boot-2"), rules, history=history)
    assert (rebooted.counts.installed_pending_reboot, rebooted.counts.installed) == (0, 3)
    assert rebooted.status is COMPLIANT
    assert not pending_after(history, _three_patched("boot-2"), [], PatchOperation.SCAN, reboots=False)


def test_17_pending_patches_make_an_install_reboot_though_nothing_is_to_install():
    history, install = _no_reboot_history(), PatchOperation.INSTALL
    decision = reboot_decision(
        install, RebootOption.REBOOT_IF_NEEDED, pending=history.pending_reboot, installed_count=0
    )
    assert decision.reboot
    assert decision.reason is RebootReason.PATCHES_PENDING_REBOOT
    nothing = reboot_decision(install, RebootOption.REBOOT_IF_NEEDED, pending=frozenset(), installed_count=0)
    assert not nothing.reboot


def test_18_an_override_list_without_a_matching_version_installs_nothing():
    bash, offer = rpm("bash", "4.2.46-28.amzn1"), rpm("bash", "4.2.46-34.amzn1", notice(updated="2025-10-01"))
    facts = node(AL2, bash, offers=(offer,))
    overrides = install_override_list({"patches": [{"id": "bash.x86_64", "title": "*4.2.46-30*"}]})
    assert override_targets(overrides, facts) == ()
    judgement = judged(facts, baseline(AL2, SECURITY_7_DAYS))
    assert the_line(judgement, "bash").state is PatchState.MISSING
    assert judgement.counts.failed == 0


def test_19_an_override_patch_outside_the_baseline_is_installed_other():
    bash, offer = rpm("bash", "4-1"), rpm("bash", "4-2", notice(severity="Low", updated="2025-10-01"))
    rules = baseline(AL2, SECURITY_7_DAYS)
    overrides = install_override_list({"patches": [{"id": "bash*"}]})
    ((slot, version),) = override_targets(overrides, node(AL2, bash, offers=(offer,)))
    assert (slot.slot.name, version.version) == ("bash", "4-2")
    judgement = judged(node(AL2, offer), rules)
    assert the_line(judgement, "bash").state is PatchState.INSTALLED_OTHER
    assert judgement.status is COMPLIANT


def test_20_two_entries_for_one_system_end_the_run():
    twice = [{"OperatingSystem": "UBUNTU", "Name": "one"}, {"OperatingSystem": "UBUNTU", "Name": "two"}]
    assert baseline_override(twice, UBUNTU) is ExitCode.OVERRIDE_SYSTEM_REPEATED
    assert ExitCode.OVERRIDE_SYSTEM_REPEATED == 165


def test_21_a_group_has_one_baseline_per_system():
    mine, other = BaselineId("pb-00000000000000001"), BaselineId("pb-00000000000000002")
    existing = {("DEV", UBUNTU): mine}
    with pytest.raises(AlreadyExists) as caught:
        register(existing, "DEV", UBUNTU, other)
    assert caught.value.message == (
        "Patch Group baseline already has a baseline registered for OperatingSystem UBUNTU."
    )
    assert register(existing, "DEV", OperatingSystem.WINDOWS, other) is True


def test_22_a_baseline_with_a_group_cannot_be_deleted():
    mine = BaselineId("pb-00000000000000001")
    with pytest.raises(InUse, match="PatchBaseline to be deleted is used for Patch Group: DEV"):
        check_removable({("DEV", UBUNTU): mine}, mine, ())
    check_removable({}, mine, ())


WINDOWS = OperatingSystem.WINDOWS


def test_23_windows_an_approved_update_for_an_absent_feature_is_not_applicable():
    update = kb("KB5000001", classification="SecurityUpdates", severity="Critical", released_at=at("2025-10-14"))
    facts = node(WINDOWS, product="WindowsServer2022", repository_matches=(update,))
    judgement = judged(facts, DEFAULT_FOR[WINDOWS])
    line = the_line(judgement, "KB5000001")
    assert (line.state, line.status) == (PatchState.NOT_APPLICABLE, None)
    assert (line.classification, line.severity) == ("", "")
    assert judgement.counts.not_applicable == 1
    assert judgement.status is COMPLIANT


@pytest.mark.parametrize("non_compliant", [True, False])
def test_24_windows_a_security_update_in_its_delay_is_shown(non_compliant):
    update = kb("KB5000002", classification="SecurityUpdates", severity="Critical", released_at=at("2025-11-18"))
    critical = rule(only(FilterKey.CLASSIFICATION, "SecurityUpdates"), compliance_level=ComplianceLevel.CRITICAL)
    rules = baseline(WINDOWS, critical, available_security_updates_non_compliant=non_compliant)
    judgement = judged(node(WINDOWS, applicable_updates=(update,)), rules)
    line = the_line(judgement, "KB5000002")
    assert line.state is PatchState.AVAILABLE_SECURITY_UPDATE
    assert line.level is ComplianceLevel.UNSPECIFIED
    assert judgement.counts.available_security_update == 1
    assert judgement.counts.security_non_compliant == (1 if non_compliant else 0)
    assert judgement.status is (NON_COMPLIANT if non_compliant else COMPLIANT)
    assert judgement.next_change_at == at("2025-11-25")


def test_25_one_snapshot_id_means_one_content():
    key = SnapshotKey(
        scope=Scope(account="000000000001", region="local-1"),
        patch_group="DEV",
        operating_system=UBUNTU,
        snapshot_id="11111111-2222-3333-4444-555555555555",
    )
    before, edited = baseline(UBUNTU, rule(days=0)), baseline(UBUNTU, rule(days=30))
    node_a = freeze(None, key, before, TODAY)
    node_b = freeze(node_a, key, edited, TODAY + timedelta(hours=1))
    assert node_b.baseline == before
    assert freeze(node_a, key, edited, TODAY + timedelta(days=3)).baseline == edited


def test_26_one_failure_of_ten_fails_the_command_after_the_reboot():
    names = [f"p{number}" for number in range(10)]
    old = [rpm(name, "1-1") for name in names]
    new = [rpm(name, "1-2", notice(f"ALAS2-{name}", updated="2025-10-01")) for name in names]
    rules = baseline(AL2, SECURITY_7_DAYS)
    before = node(AL2, *old, offers=tuple(new))
    made = settled(judged(before, rules), before, rules)
    assert len(made.items) == 10
    after = node(AL2, *new[:9], old[9], offers=(new[9],))
    decision = reboot_decision(PatchOperation.INSTALL, made.reboot_option, pending=frozenset(), installed_count=9)
    assert decision.reboot
    outcome = after_install(made, after, Said(messages={Slot(name="p9", arch="x86_64"): "scriptlet failed"}))
    code = outcome.exit_code(reboots=decision.reboot)
    assert code is ExitCode.REBOOT_WITH_FAILURES
    assert (code.before_reboot, code.after_reboot) == (194, 1)
    again = judged(after, rules, history=outcome.remembered(History()))
    assert (again.counts.installed, again.counts.failed, again.counts.missing) == (9, 1, 0)
    assert the_line(again, "p9").reason.details == ("NOT_INSTALLED: scriptlet failed",)


def test_the_cut_off_date_itself_is_still_in():
    last, late = _curl_72(updated="2025-11-10 23:59:59"), _curl_72(updated="2025-11-11")
    rules = baseline(AL2, rule(until=date(2025, 11, 10)))
    assert judged(node(AL2, CURL, offers=(last,)), rules).counts.missing == 1
    after = judged(node(AL2, CURL, offers=(late,)), rules)
    assert after.counts.missing == 0
    assert after.next_change_at is None
