"""An Install without a host: a server that settles what it is told to, and a package manager that is a dictionary.

lab = InstallLab(tmp_path, ("tb-lib", "1", "2"))     # targets: name, from, to
lab.work()                                           # one worker's run to its exit code
lab.crash_at(2); lab.work()                          # raises Crash at the second write of the journal, then goes on
lab.host, lab.server.sent("FinishPatchRun"), lab.manager.transactions
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patchwright_agent import transport
from patchwright_agent.managers.installer import (
    Applied,
    Change,
    Failure,
    Installer,
    Simulation,
    Slot,
    Target,
    Workplace,
)
from patchwright_agent.worker import facts, patch_run, run_journal
from patchwright_agent.worker.ending import Ending
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.patch_run import PatchRun
from patchwright_agent.worker.server_calls import ServerCalls, TransportErrors

ERRORS = TransportErrors(transport.ServerError, transport.Unreachable)
ARCH = "amd64"
Spec = tuple[str, str, str]  # name, from, to
LIB, APP, NEW = ("tb-lib", "1", "2"), ("tb-app", "1", "2"), ("tb-new", "", "7")


class Crash(BaseException):
    """The worker dies here: nothing of it runs on."""


class FakeManager(Installer):
    """Packages by name. What a target brings, breaks or removes is said by the test."""

    def __init__(self, host: dict[str, str]) -> None:
        self.host = host
        self.brings: dict[str, Spec] = {}
        self.removes: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self.failing: dict[str, str] = {}
        self.stopped: tuple[str, str] | None = None
        self.gone: list[tuple[str, str]] = []  # what further preflights of items, or transactions, meet
        self.gone_late: list[tuple[str, str]] = []
        self.repairs: Sequence[str] = ()
        self.transactions: list[list[str]] = []
        self.preflights: list[int] = []
        self.asked: list[tuple[list[str], list[str]]] = []
        self.in_transaction = lambda: None  # what happens in the middle of one

    def __call__(self, workplace: Workplace) -> "FakeManager":
        self.workplace = workplace
        return self

    def simulate(self, targets: Sequence[Target], available: Sequence[Target]) -> Simulation:
        self.asked.append(([t.name for t in targets], [t.name for t in available]))
        changes: dict[str, Change] = {}
        for target in targets:
            if self.host.get(target.name) != target.version:
                changes[target.name] = Change(*target)
            name, before, after = self.brings.get(target.name, ("", "", ""))
            if name and self.host.get(name, "") == before:
                changes.setdefault(name, Change(name, ARCH, before, after))
        removed = [(self.removes[t.name], ARCH) for t in targets if t.name in self.removes]
        problems = [self.problems[t.name] for t in targets if t.name in self.problems]
        return Simulation(tuple(changes.values()), tuple(removed), "; ".join(problems))

    def preflight(self, items: Sequence[Change]) -> tuple[str, str] | None:
        self.preflights.append(len(items))
        return self.gone.pop(0) if items and self.gone else self.stopped

    def apply(self, items: Sequence[Change]) -> Applied:
        if self.gone_late:
            self.in_transaction()
            return Applied((), (), *self.gone_late.pop(0))
        self.transactions.append([item.name for item in items])
        failures = []
        for item in items:
            self.in_transaction()
            if item.name in self.failing:
                failures.append(Failure(item.name, item.arch, self.failing[item.name]))
            else:
                self.host[item.name] = item.version
        return Applied(tuple(failures), (), "MANAGER_FAILED" if failures else "", "it failed" if failures else "")

    def repair(self) -> Sequence[str]:
        return self.repairs

    def database(self) -> Mapping[Slot, frozenset[str]]:
        return {(name, ARCH): frozenset([version]) for name, version in self.host.items()}


class PlanningServer:
    """Settles the joint closure of its targets; further answers can be put before its own."""

    def __init__(self, targets: Sequence[Spec]) -> None:
        self.targets = list(targets)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.scripted: dict[str, list[Any]] = {}
        self.order: dict[str, Any] = {"RunId": "r-1", "Operation": "Install", "RebootOption": "NoReboot"}
        self.plan: dict[str, Any] | None = None
        self.finished: dict[str, Any] | None = None
        self.lifetime_seconds = 900
        self.exit_code: int | None = None

    def call(self, target: str, body: dict[str, Any], bearer: str, timeout: float) -> dict[str, Any]:
        del bearer, timeout
        operation = target.removeprefix("Patchwright.")
        self.calls.append((operation, json.loads(json.dumps(body))))
        scripted = self.scripted.get(operation)
        if scripted:
            answer = scripted.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                return dict(answer)
        answers = {"StartPatchRun": self._hello, "SettlePlan": self._settle, "FinishPatchRun": self._finish}
        return answers[operation](body) if operation in answers else {"Accepted": True, "NeedParts": []}

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == operation]

    def question(self, mode: str, targets: Sequence[Spec] | None = None) -> dict[str, Any]:
        wanted = self.targets if targets is None else targets
        return {
            "State": "RESOLVE", "Mode": mode,
            "Targets": [{"Name": n, "Arch": ARCH, "FromVersion": f, "Version": v} for n, f, v in wanted],
        }  # fmt: skip

    def settled(self, incoming: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        names = {target[0] for target in self.targets}
        items = [
            {
                "Name": change["Name"], "Arch": change["Arch"], "FromVersion": change["FromVersion"],
                "ToVersion": change["Version"], "Role": "target" if change["Name"] in names else "dependency",
            }
            for change in incoming
        ]  # fmt: skip
        lines = sorted("\t".join(item.values()) + "\n" for item in items)
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        self.plan = {
            "Digest": digest, "Items": items, "Dropped": [], "RebootOption": "NoReboot",
            "LifetimeSeconds": self.lifetime_seconds,
        }  # fmt: skip
        return {"State": "SETTLED", "Plan": self.plan}

    def _hello(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.finished is not None:
            return dict(self.order, Ended=True, Report="stored report", ExitCode=self._code())
        return dict(self.order, Plan=self.plan) if self.plan else self.order

    def _settle(self, body: dict[str, Any]) -> dict[str, Any]:
        if "Mode" not in body:
            return self.question("TOGETHER")
        return self.settled(body["Closures"][0]["Incoming"])

    def _finish(self, body: dict[str, Any]) -> dict[str, Any]:
        self.finished = self.finished or body
        return {"Report": "the report", "ExitCode": self._code()}

    def _code(self) -> int:
        assert self.finished is not None
        return self.finished["ExitCode"] if self.exit_code is None else self.exit_code


class InstallLab:
    """Server, manager and state folder of one run, over as many workers as it takes."""

    def __init__(self, tmp_path: Path, *targets: Spec) -> None:
        self.tmp_path = tmp_path
        self.command_dir = tmp_path / "command"
        self.command_dir.mkdir(exist_ok=True)
        self.host = {name: before for name, before, _ in targets}
        self.server = PlanningServer(targets)
        self.manager = FakeManager(self.host)
        self.refreshes: list[bool] = []
        self.problems: list[dict[str, str]] = []
        self.written: list[str] = []
        self.ending = Ending(str(self.command_dir))

    def _collect(self, refresh: bool) -> Document:
        self.refreshes.append(refresh)
        parts = (facts.part("installed", dict(self.host)), facts.part("state", {"problems": self.problems}))
        return Document("0.1.0", 5.0, facts.part("all", dict(self.host)).digest, parts)

    def work(self, **changes: Any) -> int:
        """Run one worker; its exit code."""
        self.ending = Ending(str(self.command_dir))
        calls = ServerCalls(self.server, ERRORS, "t0ken", str, lambda _: None)
        run = PatchRun(calls, self._collect, str(self.tmp_path), False, True, self.ending, self.manager)
        return patch_run.execute(run._replace(**changes))

    @property
    def finish(self) -> dict[str, Any]:
        (body,) = self.server.sent("FinishPatchRun")
        return body

    @property
    def state(self) -> str:
        entry = run_journal.RunJournal(str(self.tmp_path), "r-1").read()
        return entry.state if entry is not None else ""
