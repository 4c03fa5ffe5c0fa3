"""Exit codes, reboot, overrides, snapshots. Source: spec/patch-baselines.md 1.7, 2.4, 5, 6."""

from datetime import date, timedelta
from typing import ClassVar

import pytest
from tests.unit.core.builders import TODAY, baseline, blocking, deb, kb, node, notice, rpm

from patchwright.core.baselines import FilterKey, RejectedAction
from patchwright.core.errors import Invalid
from patchwright.core.exit_codes import ExitCode
from patchwright.core.judgement import History
from patchwright.core.outcome import exit_code_of
from patchwright.core.overrides import (
    Selection,
    baseline_override,
    check_overrides,
    install_override_list,
    override_targets,
)
from patchwright.core.reboot import RebootReason, pending_after, reboot_decision, still_pending
from patchwright.core.snapshots import RETENTION, SnapshotKey, freeze
from patchwright.core.values import (
    ComplianceLevel,
    OperatingSystem,
    PatchOperation,
    RebootOption,
    Scope,
    Slot,
)

AL2, UBUNTU = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU
CURL = Slot(name="curl", arch="x86_64")
LIBCURL = Slot(name="libcurl", arch="x86_64")
OLD, NEW = rpm("curl", "7.1-1"), rpm("curl", "7.2-1", notice(updated="2025-10-01"))
NEEDED = rpm("libcurl", "7.2-1")
FACTS = node(AL2, OLD, offers=(NEW,))
IF_NEEDED, NO_REBOOT = RebootOption.REBOOT_IF_NEEDED, RebootOption.NO_REBOOT
SCAN, INSTALL = PatchOperation.SCAN, PatchOperation.INSTALL


@pytest.mark.parametrize(
    ("failures", "dependency_failures", "reboots", "before", "after"),
    [
        (False, False, False, 0, 0),
        (False, False, True, 194, 0),
        (True, False, False, 1, 1),
        (True, False, True, 194, 1),
        (False, True, False, 2, 2),
        (False, True, True, 194, 2),
        (True, True, True, 194, 1),
    ],
)
def test_exit_codes_before_and_after_the_reboot(failures, dependency_failures, reboots, before, after):
    code = exit_code_of(failures=failures, dependency_failures=dependency_failures, reboots=reboots)
    assert (code.before_reboot, code.after_reboot) == (before, after)


@pytest.mark.parametrize(
    ("operation", "option", "pending", "installed", "reboot", "reason"),
    [
        (SCAN, IF_NEEDED, True, 0, False, RebootReason.SCAN),
        (INSTALL, NO_REBOOT, True, 3, False, RebootReason.NO_REBOOT),
        (INSTALL, IF_NEEDED, True, 0, True, RebootReason.PATCHES_PENDING_REBOOT),
        (INSTALL, IF_NEEDED, False, 1, True, RebootReason.PATCHES_INSTALLED),
        (INSTALL, IF_NEEDED, False, 0, False, RebootReason.NOTHING_TO_DO),
    ],
)
def test_reboot_decision(operation, option, pending, installed, reboot, reason):
    rows = frozenset({(CURL, "7.2-1", "boot-1")} if pending else ())
    decision = reboot_decision(operation, option, pending=rows, installed_count=installed)
    assert (decision.reboot, decision.reason) == (reboot, reason)


class TestPendingRows:
    history = History(pending_reboot=frozenset({(CURL, "7.1-1", "boot-1"), (CURL, "7.1-1", "boot-0")}))

    def test_only_this_boot_and_what_is_still_installed(self):
        assert still_pending(self.history.pending_reboot, FACTS) == {(CURL, "7.1-1", "boot-1")}
        assert still_pending(self.history.pending_reboot, node(AL2, NEW)) == frozenset()

    def test_a_reboot_clears_all(self):
        assert pending_after(self.history, FACTS, [(CURL, "7.1-1")], INSTALL, reboots=True) == frozenset()

    def test_a_no_reboot_install_adds_to_what_was_there(self):
        both = node(AL2, OLD, NEEDED)
        rows = pending_after(self.history, both, [(LIBCURL, "7.2-1")], INSTALL, reboots=False)
        assert rows == {(CURL, "7.1-1", "boot-1"), (LIBCURL, "7.2-1", "boot-1")}

    def test_an_arch_independent_package_is_found_under_either_name(self):
        facts = node(UBUNTU, deb("tzdata", "1", arch="all"))
        rows = [(Slot(name="tzdata", arch=arch), "1", "boot-1") for arch in ("all", "amd64")]
        assert still_pending(rows, facts) == set(rows)


class TestInstallOverrideList:
    @pytest.mark.parametrize(
        ("id", "title", "allowed"),
        [
            ("curl.x86_64", None, True),
            ("CURL.*", None, True),
            ("curl", None, False),
            ("curl.i686", None, False),
            ("curl.x86_64", "7.2-1", True),
            ("curl.x86_64", "curl.x86_64:0:7.2-1", True),
            ("curl.x86_64", "*7.2*", True),
            ("curl.x86_64", "7.3-1", False),
            ("nginx*", "*", False),
        ],
    )
    def test_id_and_title_must_both_match(self, id, title, allowed):
        overrides = install_override_list({"patches": [{"id": id, "title": title}], "ignored": 1})
        assert Selection(overrides).allows(NEW) is allowed

    def test_the_title_means_nothing_on_windows(self):
        overrides = install_override_list({"patches": [{"id": "kb1", "title": "nonsense"}]})
        assert Selection(overrides).allows(kb("KB1"))

    def test_the_newest_that_matches(self):
        facts = node(AL2, OLD, offers=(NEW, rpm("curl", "7.9-1"), rpm("curl", "8.0-1")))
        overrides = install_override_list({"patches": [{"id": "curl*", "title": "7.*"}]})
        assert [version.version for _, version in override_targets(overrides, facts)] == ["7.9-1"]

    def test_a_listed_id_with_another_version_may_not_come_in_at_all(self):
        overrides = install_override_list({"patches": [{"id": "curl.x86_64", "title": "7.1*"}]})
        assert Selection(overrides).forbids(NEW)
        assert not Selection(overrides).forbids(NEEDED)

    @pytest.mark.parametrize(
        "document",
        [
            None, [], "patches", {}, {"patches": "curl"}, {"patches": {"id": "curl"}}, {"patches": ["curl"]},
            {"patches": [{"title": "x"}]}, {"patches": [{"id": ""}]}, {"patches": [{"id": 7}]},
            {"patches": [{"id": "a", "title": 7}]}, {"patches": [{"id": "a" * 513}]},
            {"patches": [{"id": "a"}] * 10_001}, {"patches": b"x"},
        ],
    )  # fmt: skip
    def test_anything_else_fails_the_run(self, document):
        with pytest.raises(Invalid):
            install_override_list(document)

    def test_both_overrides_at_once(self):
        assert check_overrides("https://a", "s3://b/c") is ExitCode.BOTH_OVERRIDES
        assert check_overrides("https://a", "") is check_overrides("", "s3://b/c") is None

    def test_a_list_of_too_many_wildcards_is_refused_and_exact_ids_are_not(self) -> None:
        entries = [{"id": f"p{n}*"} for n in range(1_001)]
        with pytest.raises(Invalid, match="1000 different ids with wildcards"):
            install_override_list({"patches": entries})
        exact = install_override_list({"patches": [{"id": f"p{n}.x86_64"} for n in range(9_000)] + entries[:1_000]})
        assert not Selection(exact).allows(NEW)
        assert not Selection(exact).forbids(NEW)


class TestBaselineOverride:
    entry: ClassVar = {
        "BaselineId": "pb-00000000000000009",
        "Name": "ours",
        "OperatingSystem": "UBUNTU",
        "GlobalFilters": {"PatchFilters": []},
        "ApprovalRules": {
            "PatchRules": [
                {
                    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["Required"]}]},
                    "ComplianceLevel": "HIGH",
                    "ApproveUntilDate": "2025-01-31",
                    "EnableNonSecurity": True,
                }
            ]
        },
        "ApprovedPatches": ["curl"],
        "ApprovedPatchesComplianceLevel": "LOW",
        "RejectedPatches": ["vim"],
        "RejectedPatchesAction": "BLOCK",
        "Sources": [],
        "Unknown": {"deep": [1]},
    }

    def test_the_one_for_this_system(self):
        read = baseline_override([{"OperatingSystem": "SUSE"}, self.entry], UBUNTU)
        assert not isinstance(read, ExitCode)
        (read_rule,) = read.rules
        assert read_rule.approve_until_date == date(2025, 1, 31)
        assert (read_rule.compliance_level, read_rule.enable_non_security) == (ComplianceLevel.HIGH, True)
        assert read_rule.filters[0].key is FilterKey.PRIORITY
        assert (read.id, read.approved_patches, read.rejected_patches) == ("pb-00000000000000009", ("curl",), ("vim",))
        assert read.rejected_patches_action is RejectedAction.BLOCK
        assert not read.predefined

    @pytest.mark.parametrize("document", [None, {}, "x", ["x"], [[]], 7])
    def test_not_a_list_of_baselines(self, document):
        assert baseline_override(document, UBUNTU) is ExitCode.OVERRIDE_INVALID

    def test_none_for_this_system(self):
        assert baseline_override([], UBUNTU) is ExitCode.OVERRIDE_SYSTEM_MISSING
        assert baseline_override([{"OperatingSystem": "SUSE"}], UBUNTU) is ExitCode.OVERRIDE_SYSTEM_MISSING
        assert baseline_override([{"Name": "windows by default"}], UBUNTU) is ExitCode.OVERRIDE_SYSTEM_MISSING

    @pytest.mark.parametrize(
        "changed",
        [
            {"ApprovalRules": []}, {"ApprovalRules": {"PatchRules": {}}}, {"ApprovalRules": {"PatchRules": [1]}},
            {"ApprovedPatches": "curl"}, {"ApprovedPatches": [1]}, {"ApprovedPatches": ["x" * 101]},
            {"RejectedPatchesAction": "ALLOW"}, {"ApprovedPatchesComplianceLevel": 5},
            {"ApprovedPatchesEnableNonSecurity": "yes"}, {"Sources": [{}]},
            {"GlobalFilters": {"PatchFilters": [{"Key": "SEVERITY", "Values": ["Low"]}]}},
            {"GlobalFilters": {"PatchFilters": [{"Values": ["Low"]}]}},
            {"ApprovalRules": {"PatchRules": [{"ApproveAfterDays": True}]}},
            {"ApprovalRules": {"PatchRules": [{"ApproveAfterDays": 1000}]}},
            {"ApprovalRules": {"PatchRules": [{"ApproveUntilDate": "2025-02-30"}]}},
        ],
    )  # fmt: skip
    def test_hostile_values(self, changed):
        assert baseline_override([self.entry | changed], UBUNTU) is ExitCode.OVERRIDE_INVALID


class TestSnapshots:
    scope = Scope(account="000000000001", region="local-1")

    def _key(self, **changed) -> SnapshotKey:
        values = {
            "scope": self.scope,
            "patch_group": "DEV",
            "operating_system": UBUNTU,
            "snapshot_id": "11111111-2222-3333-4444-555555555555",
        }
        return SnapshotKey(**(values | changed))

    def test_the_first_content_wins_for_three_days(self):
        first = freeze(None, self._key(), baseline(UBUNTU), TODAY)
        edited = blocking(UBUNTU)
        assert freeze(first, self._key(), edited, TODAY + RETENTION - timedelta(seconds=1)) == first
        assert freeze(first, self._key(), edited, TODAY + RETENTION).baseline == edited

    def test_another_group_or_system_has_its_own(self):
        first = freeze(None, self._key(), baseline(UBUNTU), TODAY)
        for key in (self._key(patch_group="QA"), self._key(operating_system=AL2)):
            assert freeze(first, key, blocking(UBUNTU), TODAY).baseline == blocking(UBUNTU)

    @pytest.mark.parametrize("snapshot_id", ["", "x", "11111111-2222-3333-4444-55555555555", "../../etc"])
    def test_the_id_is_a_uuid(self, snapshot_id):
        with pytest.raises(Invalid):
            self._key(snapshot_id=snapshot_id)
