"""When a version is approved, by what, at which level. Source: spec/patch-baselines.md 1.4, 1.6, 1.8."""

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from tests.unit.core.builders import (
    SECURITY,
    SECURITY_7_DAYS,
    TODAY,
    UNSIGNED,
    UPDATES,
    at,
    baseline,
    deb,
    kb,
    notice,
    only,
    rpm,
    rule,
    seen,
)

from patchwright.core.approval import approval_of
from patchwright.core.baselines import FilterKey
from patchwright.core.errors import Invalid
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey, ReleaseSource
from patchwright.core.predefined import DEFAULT_FOR
from patchwright.core.releases import approval_instant
from patchwright.core.values import ComplianceLevel, Family, OperatingSystem

AL2, UBUNTU, WINDOWS = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU, OperatingSystem.WINDOWS
NONE = Catalogue()


@pytest.mark.parametrize(
    ("released", "days", "approved"),
    [
        ("2025-11-13 00:00", 7, "2025-11-20"),
        ("2025-11-13 23:59:59", 7, "2025-11-20"),
        ("2025-11-20 08:00", 0, "2025-11-20"),
        ("2024-02-28 12:00", 1, "2024-02-29"),
        ("2025-12-31 12:00", 360, "2026-12-26"),
    ],
)
def test_the_wait_ends_at_midnight_utc(released, days, approved):
    assert approval_instant(at(released), days) == at(approved)


def test_a_release_in_another_zone_counts_by_its_utc_date():
    tokyo = datetime(2025, 11, 14, 8, 0, tzinfo=timezone(timedelta(hours=9)))
    assert approval_instant(tokyo, 7) == at("2025-11-20")


def test_a_naive_instant_is_refused():
    with pytest.raises(Invalid):
        approval_of(rpm("a", "1-1"), baseline(AL2), "", NONE, datetime(2025, 11, 20))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("version", "source", "released"),
    [
        (rpm("a", "1-1", notice(updated="2025-11-02", issued="2025-11-01")), "NOTICE_UPDATED", "2025-11-02"),
        (rpm("a", "1-1", notice(issued="2025-11-01"), built_at=at("2025-10-01")), "NOTICE_ISSUED", "2025-11-01"),
        (rpm("a", "1-1", notice(), built_at=at("2025-10-01")), "BUILD_TIME", "2025-10-01"),
        (rpm("a", "1-1", notice()), "NONE", None),
    ],
)
def test_what_dates_an_rpm(version, source, released):
    approval = approval_of(version, baseline(AL2, rule(days=0)), "", NONE, TODAY)
    assert approval.best_hit.release.source is ReleaseSource(source)
    assert approval.best_hit.release.at == (at(released) if released else None)


def test_without_a_date_nothing_waits():
    version = rpm("a", "1-1", notice())
    assert approval_of(version, baseline(AL2, rule(days=360)), "", NONE, TODAY).approved
    assert approval_of(version, baseline(AL2, rule(until=date(2001, 1, 1))), "", NONE, TODAY).approved
    suse = rpm("a", "1-1", family=Family.ZYPPER, built_at=TODAY)
    assert approval_of(suse, baseline(OperatingSystem.SUSE, rule(days=360)), "", NONE, TODAY).approved


def test_windows_application_patches_without_a_date_are_old_enough_and_os_is_the_default_set():
    application = kb("KB1", patch_set="APPLICATION", product_family="Office")
    system = kb("KB2", released_at=at("2025-01-01"))
    plain = baseline(WINDOWS, rule())
    applications = baseline(WINDOWS, rule(only(FilterKey.PATCH_SET, "APPLICATION")))
    approved = [
        approval_of(update, rules, "", NONE, TODAY).approved
        for rules in (plain, applications)
        for update in (system, application)
    ]
    assert approved == [True, False, False, True]


class TestApt:
    version = deb("curl", "2", SECURITY, UPDATES)

    def test_the_earliest_sight_counts(self):
        keys = [
            FirstSeenKey(repository=repository.identity, name="curl", arch="amd64", version="2")
            for repository in (SECURITY, UPDATES)
        ]
        catalogue = Catalogue(
            first_seen={
                keys[0]: FirstSeen(at=at("2025-11-10"), source=ReleaseSource.FIRST_REPORT),
                keys[1]: FirstSeen(at=at("2025-11-05"), source=ReleaseSource.REPOSITORY_FIRST_SEEN),
            }
        )
        hit = approval_of(self.version, baseline(UBUNTU, rule()), "", catalogue, TODAY).best_hit
        assert hit.approved_at == at("2025-11-12")
        assert hit.release.source is ReleaseSource.REPOSITORY_FIRST_SEEN

    def test_an_unsigned_repository_cannot_make_a_version_look_older(self):
        version = deb("curl", "2", SECURITY, replace(UNSIGNED, label="evil"))
        keys = [
            FirstSeenKey(repository=repository.identity, name="curl", arch="amd64", version="2")
            for repository in version.repositories
        ]
        catalogue = Catalogue(
            first_seen={
                keys[0]: FirstSeen(at=at("2025-11-19"), source=ReleaseSource.FIRST_REPORT),
                keys[1]: FirstSeen(at=at("2001-01-01"), source=ReleaseSource.REPOSITORY_FIRST_SEEN),
            }
        )
        assert not approval_of(version, baseline(UBUNTU, rule()), "", catalogue, TODAY).approved

    def test_delays_are_honoured_in_custom_baselines_unless_the_setting_ignores_them(self):
        catalogue = seen(self.version, when="2025-11-19")
        rules = baseline(UBUNTU, rule())
        assert not approval_of(self.version, rules, "", catalogue, TODAY).approved
        assert approval_of(self.version, rules, "", catalogue, TODAY, apt_delays="ignore").approved
        cut_off = baseline(UBUNTU, rule(until=date(2025, 11, 18)))
        assert not approval_of(self.version, cut_off, "", catalogue, TODAY).approved

    def test_the_predefined_baseline_stores_seven_days_and_acts_as_none(self):
        predefined = DEFAULT_FOR[UBUNTU]
        assert predefined.rules[0].approve_after_days == 7
        approval = approval_of(self.version, predefined, "Ubuntu22.04", seen(self.version, when="2025-11-19"), TODAY)
        assert approval.approved
        assert approval.next_change_at is None


def test_each_flag_widens_its_own_source_only():
    unlisted = rpm("a", "1-1")
    by_rule = baseline(AL2, rule(days=0, enable_non_security=True), approved_patches=("a",))
    approval = approval_of(unlisted, by_rule, "", NONE, TODAY)
    assert (approval.approved, approval.approved_entry, approval.unused_entry) == (True, None, "a")
    by_list = baseline(AL2, rule(days=0), approved_patches=("a",), approved_patches_enable_non_security=True)
    approval = approval_of(unlisted, by_list, "", NONE, TODAY)
    assert (approval.approved, approval.approved_entry, approval.hits) == (True, "a", ())


def test_the_approved_list_bypasses_global_filters_rules_and_delays():
    version = rpm("a", "1-1", notice(updated="2025-11-19"))
    rules = baseline(AL2, approved_patches=("a",), global_filters=(only(FilterKey.PRODUCT, "Other"),))
    assert approval_of(version, rules, "AmazonLinux2", NONE, TODAY).approved


def test_a_later_rule_raises_the_level_and_is_announced():
    version = rpm("a", "1-1", notice(updated="2025-11-15"))
    critical = rule(days=10, compliance_level=ComplianceLevel.CRITICAL)
    rules = baseline(AL2, rule(days=0, compliance_level=ComplianceLevel.LOW), critical)
    now = approval_of(version, rules, "", NONE, TODAY)
    assert (now.level, now.next_change_at) == (ComplianceLevel.LOW, at("2025-11-25"))
    then = approval_of(version, rules, "", NONE, at("2025-11-25"))
    assert (then.level, then.next_change_at, then.best_hit.rule) == (ComplianceLevel.CRITICAL, None, 2)


def test_the_notice_of_the_deciding_rule_supplies_classification_and_severity():
    version = rpm("a", "1-1", notice("A-1", "Low", "Bugfix"), notice("A-2", "Critical", "Security"))
    bugfix = rule(only(FilterKey.CLASSIFICATION, "Bugfix"), days=0, compliance_level=ComplianceLevel.HIGH)
    approval = approval_of(version, baseline(AL2, bugfix, SECURITY_7_DAYS), "", NONE, TODAY)
    assert (approval.classification, approval.severity) == ("Bugfix", "Low")
    approval = approval_of(version, baseline(AL2, rule(days=0)), "", NONE, TODAY)
    assert (approval.classification, approval.severity) == ("Security", "Critical")


def test_the_next_change_is_the_first_of_several():
    version = rpm("a", "1-1", notice(updated="2025-11-19"))
    approval = approval_of(version, baseline(AL2, rule(days=9), rule(days=3), rule(days=5)), "", NONE, TODAY)
    assert approval.next_change_at == at("2025-11-22")
    assert [hit.rule for hit in approval.pending] == [2, 3, 1]


def test_rejection_ends_everything():
    version = rpm("a", "1-1", notice("ALAS-7", updated="2025-11-19"))
    approval = approval_of(version, baseline(AL2, rule(), rejected_patches=("alas-7",)), "", NONE, TODAY)
    assert (approval.approved, approval.rejected_entry, approval.next_change_at) == (False, "alas-7", None)
