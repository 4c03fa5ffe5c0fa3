"""Settling a Plan with a scripted host: which questions, what is dropped and why, what the Plan says.

Source: decisions.md 3, 4; patch-baselines.md 1.7, 3.7, 4.2 to 4.4; docs/reference/worker-protocol.md.
"""

import hashlib
from dataclasses import replace

import pytest
from tests.unit.core.builders import baseline, blocking, deb, judged, node, notice, rpm, rule
from tests.unit.core.hosts import ScriptedHost, change, settled

from patchwright.core import settle
from patchwright.core.baselines import PatchBaseline
from patchwright.core.patches import Repository
from patchwright.core.plan import Change, Closure, DropCode, Ground, ItemRole, Plan, in_order, targets_of
from patchwright.core.settle import Mode, Settling, answered, begin
from patchwright.core.values import ComplianceLevel, OperatingSystem, RebootOption, Slot

AL2, UBUNTU = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU
NO_REBOOT = RebootOption.NO_REBOOT
NAMES = ("bash", "curl", "vim")
OLD = [rpm(name, "1-1") for name in NAMES]
NEW = [rpm(name, "1-2", notice(f"ALAS2-{name}", updated="2025-10-01")) for name in NAMES]
HOST = node(AL2, *OLD, rpm("libcurl", "1-1"), offers=tuple(NEW))
RULES = baseline(AL2, rule())
LIBCURL = rpm("libcurl", "1-2")
LIBCURL_SLOT = Slot(name="libcurl", arch="x86_64")


def made(host: ScriptedHost, rules: PatchBaseline = RULES, facts=HOST) -> Plan:
    return settled(judged(facts, rules), facts, rules, host)


def items(plan: Plan) -> list[tuple[str, str, str, str]]:
    return [(i.slot.name, i.from_version, i.to_version, i.role) for i in plan.items]


def dropped(plan: Plan) -> dict[str, DropCode]:
    return {drop.slot.name: drop.code for drop in plan.dropped}


THREE = [(name, "1-1", "1-2", ItemRole.TARGET) for name in NAMES]


class TestQuestions:
    def test_one_question_where_nothing_speaks_against_it(self):
        host = ScriptedHost(brings={"curl": [change(LIBCURL, "1-1"), change(rpm("new", "1-1"))]})
        plan = made(host)
        assert host.asked == [(Mode.TOGETHER, NAMES)]
        assert items(plan) == [
            *THREE[:2],
            ("libcurl", "1-1", "1-2", ItemRole.DEPENDENCY),
            ("new", "", "1-1", ItemRole.DEPENDENCY),
            THREE[2],
        ]
        assert plan.dropped == ()

    def test_nothing_missing_asks_nothing(self):
        host = ScriptedHost()
        assert made(host, baseline(AL2)) == Plan(items=(), dropped=(), reboot_option=RebootOption.REBOOT_IF_NEEDED)
        assert host.asked == []

    def test_the_culprit_is_dropped_and_the_rest_asked_again(self):
        host = ScriptedHost(problems={"curl": "nothing provides libz"})
        plan = made(host)
        assert host.asked == [(Mode.TOGETHER, NAMES), (Mode.EACH, NAMES), (Mode.TOGETHER, ("bash", "vim"))]
        assert items(plan) == [THREE[0], THREE[2]]
        assert [(d.slot.name, d.version, d.code, d.because_of) for d in plan.dropped] == [
            ("curl", "1-2", DropCode.UNRESOLVED, "nothing provides libz")
        ]

    def test_two_that_fit_alone_and_not_together(self):
        host = ScriptedHost(clashes=[("bash", "vim")])
        plan = made(host)
        # TOGETHER about the same targets would be the first question once more.
        assert host.asked == [(Mode.TOGETHER, NAMES), (Mode.EACH, NAMES), (Mode.CUMULATIVE, NAMES)]
        assert items(plan) == THREE[:2]
        assert dropped(plan) == {"vim": DropCode.UNRESOLVED}

    def test_four_questions_are_the_most(self):
        host = ScriptedHost(problems={"curl": "broken"}, clashes=[("bash", "vim")])
        plan = made(host)
        assert [mode for mode, _ in host.asked] == [Mode.TOGETHER, Mode.EACH, Mode.TOGETHER, Mode.CUMULATIVE]
        assert (items(plan), dropped(plan)) == (
            THREE[:1],
            {"curl": DropCode.UNRESOLVED, "vim": DropCode.UNRESOLVED},
        )

    def test_nothing_fits(self):
        host = ScriptedHost(problems=dict.fromkeys(NAMES, "the archive is gone"))
        plan = made(host)
        assert [mode for mode, _ in host.asked] == [Mode.TOGETHER, Mode.EACH]
        assert (plan.items, set(dropped(plan))) == ((), set(NAMES))

    def test_the_order_is_by_level_then_by_name(self):
        rules = baseline(
            AL2,
            rule(),
            approved_patches=("vim",),
            approved_patches_level=ComplianceLevel.CRITICAL,
        )
        host = ScriptedHost(clashes=[("bash", "vim")])
        plan = made(host, rules)
        assert host.asked[0] == (Mode.TOGETHER, ("vim", "bash", "curl"))
        assert dropped(plan) == {"bash": DropCode.UNRESOLVED}

    def test_too_many_in_each_others_way_wait_for_the_next_install(self, monkeypatch):
        monkeypatch.setattr(settle, "MAX_CUMULATIVE", 2)
        plan = made(ScriptedHost(clashes=[("bash", "vim")]))
        assert (items(plan), dropped(plan)) == (THREE[:2], {"vim": DropCode.UNRESOLVED})


class TestObjections:
    def test_a_rejected_dependency_may_come_in_unless_blocked(self):
        host = ScriptedHost(brings={"curl": [change(LIBCURL, "1-1")]})
        allowed = made(host, baseline(AL2, rule(), rejected_patches=("libcurl",)))
        assert allowed.dropped == ()
        assert ("libcurl", "1-1", "1-2", ItemRole.DEPENDENCY) in items(allowed)
        blocked = made(host, blocking(AL2, rule(), rejected_patches=("libcurl",)))
        assert dropped(blocked) == {"curl": DropCode.BLOCKED_DEPENDENCY}
        assert blocked.dropped[0].because_of == "libcurl.x86_64:0:1-2"
        assert items(blocked) == [THREE[0], THREE[2]]

    def test_a_blocked_advisory_is_found_by_what_the_repositories_say_of_the_version(self):
        fixed = rpm("libcurl", "1-2", notice("ALAS2-libcurl", severity="Low", updated="2025-10-01"))
        facts = node(AL2, *OLD, rpm("libcurl", "1-1"), offers=(*NEW, fixed))
        host = ScriptedHost(brings={"curl": [change(LIBCURL, "1-1")]})
        rules = blocking(AL2, rule(), rejected_patches=("ALAS2-libcurl",))
        assert dropped(made(host, rules, facts)) == {"curl": DropCode.BLOCKED_DEPENDENCY}

    @pytest.mark.parametrize(
        ("host", "holds", "code", "because_of"),
        [
            (ScriptedHost(removes={"curl": [LIBCURL_SLOT]}), (), DropCode.REMOVAL, "libcurl.x86_64"),
            (
                ScriptedHost(brings={"curl": [change(LIBCURL, "1-1")]}),
                (LIBCURL_SLOT,),
                DropCode.HELD_DEPENDENCY,
                "libcurl.x86_64:0:1-2",
            ),
            (
                ScriptedHost(brings={"curl": [change(rpm("libcurl", "0-9"), "1-1")]}),
                (),
                DropCode.DOWNGRADE,
                "libcurl.x86_64:0:0-9",
            ),
        ],
    )
    def test_nothing_is_removed_held_back_or_downgraded(self, host, holds, code, because_of):
        plan = made(host, facts=replace(HOST, state=replace(HOST.state, holds=frozenset(holds))))
        assert [(d.slot.name, d.code, d.because_of) for d in plan.dropped] == [("curl", code, because_of)]
        assert items(plan) == [THREE[0], THREE[2]]

    def test_a_target_comes_in_at_the_servers_version_or_not_at_all(self):
        later = Change(slot=NEW[2].slot, from_version="1-1", version="1-3")
        plan = made(ScriptedHost(brings={"curl": [later]}))
        # Together vim is one of the targets; alone curl would pull in another version of it.
        assert plan.dropped == ()

        class Newer(ScriptedHost):
            def simulate(self, targets):
                closure = super().simulate(targets)
                alone = {t.slot.name for t in targets} == {"curl"}
                return replace(closure, incoming=(*closure.incoming, later), problem="" if alone else "not together")

        assert dropped(made(Newer()))["curl"] is DropCode.OTHER_VERSION

    def test_a_target_that_another_needs_stays_a_target(self):
        assert items(made(ScriptedHost(brings={"curl": [change(NEW[0], "1-1")]}))) == THREE

    def test_a_target_that_was_dropped_and_comes_along_after_all_is_one_again(self):
        host = ScriptedHost(problems={"vim": "alone it can't"})
        plan = made(ScriptedHost())
        ground = Ground(HOST, RULES)
        state = begin(in_order(targets_of(judged(HOST, RULES))), NO_REBOOT)
        while isinstance(state, Settling):
            closures = host.answer(state)
            if state.mode is Mode.TOGETHER and state.asked > 1:
                closures = [Closure(incoming=tuple(change(v, "1-1") for v in NEW))]
            state = answered(state, closures, NO_REBOOT, ground)
        assert (state.items, state.dropped) == (plan.items, ())

    def test_a_target_that_the_manager_would_leave_as_it_is_has_no_place_in_a_plan(self):
        class Lazy(ScriptedHost):
            def simulate(self, targets):
                closure = super().simulate(targets)
                return replace(closure, incoming=tuple(c for c in closure.incoming if c.slot.name != "vim"))

        plan = made(Lazy())
        assert items(plan) == THREE[:2]
        assert plan.dropped[0].because_of == settle.LEFT_AS_IT_IS

    def test_an_rpm_system_lets_its_oldest_kernel_go(self):
        kernels = [rpm("kernel", f"5-{n}") for n in (1, 2, 3)]
        new = rpm("kernel", "5-4", notice(updated="2025-10-01"))
        facts = node(AL2, *kernels, offers=(new,))
        host = ScriptedHost(removes={"kernel": [new.slot]})
        assert items(made(host, facts=facts)) == [("kernel", "5-3", "5-4", ItemRole.TARGET)]
        # What is kept beside another version is no downgrade of it.
        devel = rpm("kernel-devel", "5-3")
        beside = node(AL2, *kernels, rpm("kernel-devel", "5-4"), offers=(new,))
        assert made(ScriptedHost(brings={"kernel": [change(devel)]}), facts=beside).dropped == ()

    def test_slots_of_all_architectures_are_one(self):
        security = Repository(origin="Ubuntu", suite="jammy-security")
        facts = node(UBUNTU, deb("tzdata", "1", arch="all"), offers=(deb("tzdata", "2", security, arch="all"),))
        plan = made(ScriptedHost(), baseline(UBUNTU, rule()), facts)
        assert items(plan) == [("tzdata", "1", "2", ItemRole.TARGET)]

        class Native(ScriptedHost):
            def simulate(self, targets):
                closure = super().simulate(targets)
                return replace(
                    closure, incoming=(Change(slot=Slot(name="tzdata", arch="amd64"), from_version="1", version="2"),)
                )

        assert made(Native(), baseline(UBUNTU, rule()), facts) == plan


class TestFallBack:
    def test_a_combination_that_only_the_server_objects_to_stops_before_it(self):
        """The worker goes on with a target that brings in something blocked; what came before it is kept."""

        class Blocked(ScriptedHost):
            def simulate(self, targets):
                closure = super().simulate(targets)
                both = {"bash", "curl"} <= {t.slot.name for t in targets}
                return replace(closure, incoming=(*closure.incoming, change(LIBCURL, "1-1"))) if both else closure

        plan = made(Blocked(), blocking(AL2, rule(), rejected_patches=("libcurl",)))
        assert items(plan) == THREE[:1]
        assert dropped(plan) == {"curl": DropCode.BLOCKED_DEPENDENCY, "vim": DropCode.BLOCKED_DEPENDENCY}

    @pytest.mark.parametrize("closures", [[], [Closure()], [Closure(slot=Slot(name="other", arch="x86_64"))]])
    def test_a_worker_that_answers_nothing_installs_nothing(self, closures):
        ground = Ground(HOST, RULES)
        state = begin(in_order(targets_of(judged(HOST, RULES))), NO_REBOOT)
        questions = 0
        while isinstance(state, Settling):
            questions += 1
            state = answered(state, closures, NO_REBOOT, ground)
        assert questions <= 4
        assert state.items == ()
        assert len(state.dropped) == 3


def test_the_digest_is_that_of_the_page():
    plan = made(ScriptedHost(brings={"curl": [change(rpm("new", "1-1"))]}))
    lines = [
        "bash\tx86_64\t1-1\t1-2\ttarget\n",
        "curl\tx86_64\t1-1\t1-2\ttarget\n",
        "new\tx86_64\t\t1-1\tdependency\n",
        "vim\tx86_64\t1-1\t1-2\ttarget\n",
    ]
    assert plan.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert Plan(items=(), dropped=(), reboot_option=NO_REBOOT).digest == hashlib.sha256(b"").hexdigest()
