"""The end of an Install: what went in, why the rest did not, the reboot, the codes, the report.

Source: patch-baselines.md 5.6, 5.7, 6.3 to 6.5; decisions.md 5, 6, 12.
"""

import time
from datetime import timedelta

import pytest
from tests.unit.core.builders import baseline, judged, node, notice, rpm, rule
from tests.unit.core.hosts import ScriptedHost, change, settled

from patchwright.core.boots import MAX_REPEATS, ONE_REQUEST, after_boot
from patchwright.core.exit_codes import ExitCode, known_code
from patchwright.core.facts import Problem
from patchwright.core.failures import MAX_WORDS, ProblemCode, kept_text, problem_words, read_kept
from patchwright.core.judgement import History
from patchwright.core.outcome import NO_REASON, Said, after_install
from patchwright.core.plan import ItemRole, Plan, PlanItem
from patchwright.core.reboot import RebootDecision, RebootReason, pending_after, reboot_decision
from patchwright.core.report import MAX_LINES, RunStory, report_of
from patchwright.core.values import OperatingSystem, PatchOperation, RebootOption, Slot

AL2 = OperatingSystem.AMAZON_LINUX_2
IF_NEEDED, INSTALL = RebootOption.REBOOT_IF_NEEDED, PatchOperation.INSTALL
CURL, LIBCURL, BASH = (Slot(name=n, arch="x86_64") for n in ("curl", "libcurl", "bash"))
OLD, NEW = rpm("curl", "7.1-1"), rpm("curl", "7.2-1", notice("ALAS2-1", updated="2025-10-01"))
BASH_OLD, BASH_NEW = rpm("bash", "5-1"), rpm("bash", "5-2", notice("ALAS2-2", updated="2025-10-01"))
NEEDED = rpm("libcurl", "7.2-1")
RULES = baseline(AL2, rule())
BEFORE = node(AL2, OLD, BASH_OLD, offers=(NEW, BASH_NEW))
PLAN = settled(judged(BEFORE, RULES), BEFORE, RULES, ScriptedHost(brings={"curl": [change(NEEDED)]}))
LEFT_OUT = settled(judged(BEFORE, RULES), BEFORE, RULES, ScriptedHost(problems={"curl": "nothing provides libz"}))


def said(problem: str = "", message: str = "", **messages: str) -> Said:
    return Said(
        messages={Slot(name=n, arch="x86_64"): text for n, text in messages.items()}, problem=problem, message=message
    )


class TestOutcome:
    def test_the_package_database_decides_whatever_the_manager_said(self):
        done = after_install(PLAN, node(AL2, NEW, BASH_NEW, NEEDED), said(curl="it said that it failed"))
        assert (done.failed, done.exit_code(reboots=False)) == (frozenset(), ExitCode.SUCCESS)
        undone = after_install(PLAN, node(AL2, OLD, BASH_NEW, NEEDED), said(curl="no space"))
        assert (undone.failed, undone.exit_code(reboots=False)) == ({(CURL, "7.2-1")}, ExitCode.FAILURE)
        assert [item.slot for item in undone.new] == [BASH, LIBCURL]

    def test_a_dependency_that_was_not_needed_after_all_is_no_failed_patch(self):
        done = after_install(PLAN, node(AL2, NEW, BASH_NEW), said())
        assert done.exit_code(reboots=False) is ExitCode.SUCCESS

    def test_a_worker_that_failed_fails_the_run_though_everything_is_there(self):
        done = after_install(PLAN, node(AL2, NEW, BASH_NEW, NEEDED), said())
        assert done.exit_code(reboots=False, worker_failed=True) is ExitCode.FAILURE
        assert done.exit_code(reboots=True, worker_failed=True) is ExitCode.REBOOT_WITH_FAILURES

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (said(), f"NOT_INSTALLED: {NO_REASON}"),
            (said(curl="%post failed"), "NOT_INSTALLED: %post failed"),
            (said("LOCKED", "dnf (pid 7)"), "LOCKED: another program held the package manager's lock: dnf (pid 7)"),
            (said("DISK_FULL", curl="needs 3 MB"), "DISK_FULL: needs 3 MB"),
            (said("NEW_CODE"), "NEW_CODE: the run could not be carried out"),
        ],
    )
    def test_each_failed_target_has_a_reason(self, words, reason):
        undone = after_install(PLAN, node(AL2, OLD, BASH_NEW), words)
        assert undone.failed_reasons == {(CURL, "7.2-1"): reason}

    def test_a_script_that_failed_is_remembered_of_what_is_there_all_the_same(self):
        done = after_install(PLAN, node(AL2, NEW, BASH_NEW, NEEDED), said("MANAGER_FAILED", curl="%post failed"))
        assert (done.failed, done.scripts_failed) == (set(), {(CURL, "7.2-1"): "SCRIPT_FAILED: %post failed"})
        before = History(failed=frozenset({(BASH, "1-1")}), failed_reasons={(BASH, "1-1"): "LOCKED: dnf"})
        assert done.remembered(before).failed_reasons == done.scripts_failed

    def test_what_was_left_out_has_failed_too_unless_it_came_from_elsewhere(self):
        undone = after_install(LEFT_OUT, node(AL2, OLD, BASH_NEW), said())
        assert undone.failed_reasons == {
            (CURL, "7.2-1"): "UNRESOLVED: the node's package manager can't resolve it: nothing provides libz"
        }
        assert undone.exit_code(reboots=True) is ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES
        by_hand = after_install(LEFT_OUT, node(AL2, NEW, BASH_NEW), said())
        assert (by_hand.failed, by_hand.exit_code(reboots=False)) == (frozenset(), ExitCode.SUCCESS)

    def test_what_the_next_install_does_not_fail_is_forgotten(self):
        earlier = History(failed=frozenset({(LIBCURL, "7.9-1")}), failed_reasons={(LIBCURL, "7.9-1"): "old"})
        done = after_install(PLAN, node(AL2, NEW, BASH_NEW), said()).remembered(earlier)
        assert (done.failed, done.failed_reasons) == (frozenset(), {})

    def test_a_long_plan_is_compared_in_the_time_that_it_takes_to_read_it(self):
        def item(name, role):
            return PlanItem(slot=Slot(name=name, arch="x86_64"), from_version="1-1", to_version="1-2", role=role)

        there = [item(f"there-{n}", ItemRole.DEPENDENCY) for n in range(8_000)]
        absent = [item(f"absent-{n}", ItemRole.TARGET) for n in range(4_000)]
        plan = Plan(items=(*there, *absent), dropped=(), reboot_option=IF_NEEDED)
        after = node(AL2, *(rpm(i.slot.name, "1-2") for i in there))
        began = time.process_time()
        done = after_install(plan, after, said())
        assert time.process_time() - began < 3
        assert (len(done.new), len(done.failed)) == (8_000, 4_000)

    def test_kernels_are_kept_beside_each_other(self):
        old, new = rpm("kernel", "5-1"), rpm("kernel", "5-2", notice(updated="2025-10-01"))
        before = node(AL2, old, offers=(new,))
        plan = settled(judged(before, RULES), before, RULES)
        assert after_install(plan, node(AL2, old, new), said()).exit_code(reboots=False) is ExitCode.SUCCESS


def test_a_kept_reason_can_be_read_again_and_is_bounded():
    text = kept_text(ProblemCode.DOWNLOAD, problem_words(ProblemCode.DOWNLOAD, "404: not found"))
    assert (read_kept(text).code, read_kept(text).words) == (
        "DOWNLOAD",
        "a package could not be downloaded: 404: not found",
    )
    assert read_kept("%post: failed").code == ""
    assert read_kept("%post: failed").words == "%post: failed"
    assert len(kept_text("LOCKED", "x" * 9_999)) == MAX_WORDS


class TestReboot:
    @pytest.mark.parametrize(
        ("problem", "reboot", "reason"),
        [
            ("", True, RebootReason.PATCHES_INSTALLED),
            ("DOWNLOAD", True, RebootReason.PATCHES_INSTALLED),
            ("CANCELLED", False, RebootReason.CANCELLED),
            ("BROKEN", False, RebootReason.MANAGER_BROKEN),
            ("LOCKED", False, RebootReason.MANAGER_LOCKED),
        ],
    )
    def test_some_problems_hold_it_back(self, problem, reboot, reason):
        found = reboot_decision(INSTALL, IF_NEEDED, pending=frozenset(), installed_count=1, problem=problem)
        assert (found.reboot, found.reason) == (reboot, reason)

    def test_what_an_install_brought_waits_when_it_does_not_reboot(self):
        after = node(AL2, NEW, BASH_NEW)
        rows = pending_after(History(), after, [(CURL, "7.2-1")], INSTALL, reboots=False)
        assert rows == {(CURL, "7.2-1", "boot-1")}

    def test_it_is_asked_five_times_in_one_boot_and_then_has_never_happened(self):
        code, asked, shown = ExitCode.REBOOT_WITH_FAILURES, 0, []
        while code.asks_for_reboot:
            state = after_boot(code, asked_in="boot-1", now_in="boot-1", asked=asked, since=ONE_REQUEST)
            code, asked = state.kept, state.asked
            shown.append(state.shown)
        assert shown == [ExitCode.REBOOT] * MAX_REPEATS + [ExitCode.REBOOT_NEVER_HAPPENED]

    @pytest.mark.parametrize(
        ("code", "final"),
        [
            (ExitCode.REBOOT, ExitCode.SUCCESS),
            (ExitCode.REBOOT_WITH_FAILURES, ExitCode.FAILURE),
            (ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES, ExitCode.DEPENDENCY_FAILURE),
            (ExitCode.FAILURE, ExitCode.FAILURE),
            (ExitCode.REBOOT_NEVER_HAPPENED, ExitCode.REBOOT_NEVER_HAPPENED),
        ],
    )
    def test_another_boot_makes_the_code_final(self, code, final):
        state = after_boot(code, asked_in="boot-1", now_in="boot-2", asked=MAX_REPEATS, since=timedelta())
        assert (state.kept, state.shown) == (final, final)

    @pytest.mark.parametrize("asked", [0, MAX_REPEATS])
    def test_a_hello_repeated_at_once_is_no_further_request(self, asked):
        soon = ONE_REQUEST - timedelta(microseconds=1)
        state = after_boot(ExitCode.REBOOT, asked_in="boot-1", now_in="boot-1", asked=asked, since=soon)
        assert (state.kept, state.shown, state.asked) == (ExitCode.REBOOT, ExitCode.REBOOT, asked)

    def test_codes_of_others_are_not_ours(self):
        assert known_code(194) is ExitCode.REBOOT
        assert known_code(143) is known_code(-9) is None


class TestReport:
    def story(self, after=None, plan=PLAN, **more) -> RunStory:
        after = after or node(AL2, OLD, BASH_NEW, offers=(NEW,))
        outcome = after_install(plan, after, said(curl="%post failed"))
        return RunStory(
            **{
                "node": "web-1",
                "operation": INSTALL,
                "plan_only": False,
                "baseline_id": "pb-1",
                "baseline_name": "ours",
                "patch_group": "web",
                "snapshot_id": "s",
                "outcome": judged(after, RULES, history=outcome.remembered(History())),
                "reboot": RebootDecision(reboot=True, reason=RebootReason.PATCHES_INSTALLED),
                "exit_code": ExitCode.REBOOT_WITH_FAILURES,
                "plan": plan,
                "new": outcome.new,
                **more,
            }
        )

    def test_counts_and_reboot_come_first_then_failures_then_what_went_in(self):
        text = report_of(self.story(notes=("kept /etc/bash.bashrc",), message="one package failed"))
        wanted = [
            "Patch Summary for web-1",
            "Operation: Install",
            "Compliance: NON_COMPLIANT",
            "MissingCount: 0  FailedCount: 1",
            "Reboot: yes: packages were installed; the run ends with 1 after it",
            "Message: one package failed",
            "FAILED: curl.x86_64 7.1-1 -> 7.2-1 (NOT_INSTALLED: %post failed)",
            "INSTALLED: bash.x86_64 5-1 -> 5-2 (target)",
            "NOTE: kept /etc/bash.bashrc",
        ]
        places = [text.find(words) for words in wanted]
        assert -1 not in places, text
        assert places == sorted(places)

    def test_the_essence_of_a_large_run_is_in_the_first_2500_characters(self):
        names = [f"package-number-{n}" for n in range(600)]
        old = [rpm(name, "1-1") for name in names]
        new = [rpm(name, "1-2", notice(f"ALAS2-{name}", updated="2025-10-01")) for name in names]
        before = node(AL2, *old, offers=tuple(new))
        plan = settled(judged(before, RULES), before, RULES)
        problems = tuple(Problem(code="LOCKED", message="held by dnf", remedy="wait") for _ in range(3))
        after = node(AL2, *new[:599], old[599], offers=(new[599],))
        text = report_of(self.story(after, plan, problems=problems))
        for words in ("FailedCount: 1", "Reboot: yes", "FAILED: package-number-599.x86_64", "INSTALLED: "):
            assert words in text[:2_500]
        assert text.count("\nINSTALLED: ") == MAX_LINES
        assert f"… and {599 - MAX_LINES} more INSTALLED" in text

    def test_what_went_in_and_waits_for_a_reboot_is_named_once(self):
        history = History(pending_reboot=frozenset({(BASH, "5-2", "boot-1"), (LIBCURL, "7.2-1", "boot-1")}))
        after = node(AL2, OLD, BASH_NEW, NEEDED, offers=(NEW,))
        brought = after_install(PLAN, node(AL2, OLD, BASH_NEW, offers=(NEW,)), said()).new
        text = report_of(self.story(after, outcome=judged(after, RULES, history=history), new=brought))
        assert "InstalledPendingRebootCount: 2" in text
        assert text.count("bash.x86_64") == 1
        assert "INSTALLED_PENDING_REBOOT: libcurl.x86_64" in text  # of an earlier run

    def test_a_plan_says_what_would_go_in_and_what_is_left_out(self):
        text = report_of(
            self.story(
                BEFORE,
                LEFT_OUT,
                operation=PatchOperation.SCAN,
                plan_only=True,
                exit_code=0,
                outcome=judged(BEFORE, RULES),
                reboot=RebootDecision(reboot=False, reason=RebootReason.SCAN),
            )
        )
        assert "Operation: Plan" in text
        assert "WOULD INSTALL: bash.x86_64 5-1 -> 5-2 (target)" in text
        assert "LEFT OUT: curl.x86_64 7.2-1 (UNRESOLVED: the node's package manager can't resolve it" in text

    def test_what_a_host_says_cannot_move_the_cursor(self):
        text = report_of(self.story(notes=("\x1b[2J\nFAILED: nothing",), message="a\x07b\nReboot: no"))
        assert text.replace("\n", "").isprintable()
        assert "\nReboot: no" not in text
        assert "\nFAILED: nothing" not in text
