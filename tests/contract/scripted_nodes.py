"""Nodes that answer patch commands by a script, each in a thread of its own: agent, worker and package manager in one.

They speak the two protocols as `docs` describe them; what they install are synthetic facts.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.contract.nodes_door import Message, Node, step_result
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package
from tests.contract.worker_door import Manager, Worker

STEP = "PatchLinux"
FOREVER = 10**9
"""Commands of a node that ends with its process."""
REBOOT = 194
RERUN = {"status": "SuccessAndReboot", "code": REBOOT}


@dataclass
class Script:
    """How a node behaves. `refuses` are packages that do not go in, with the manager's words."""

    host: DebianHost
    manager: Manager = field(default_factory=Manager)
    refuses: dict[str, str] = field(default_factory=dict)
    before: Callable[[Message], None] = lambda _: None
    """Called with each command before anything is done about it; may wait."""
    rebooting: Callable[[], None] = lambda: None
    """Called when the node was told to reboot, before it is back; may wait."""


class ScriptedNode:
    """Carries out `commands` commands, then ends. What went wrong in its thread is raised by `join`."""

    def __init__(self, node: Node, script: Script, commands: int) -> None:
        self.node = node
        self.script = script
        self.documents: list[str] = []
        self._left = commands
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(20)
        if self._error is not None:
            raise self._error
        assert not self._thread.is_alive(), "the node still waits for a command"

    def _guarded(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # kept for join
            self._error = error

    def _serve(self) -> None:
        while self._left:
            for message in self.node.poll():
                self._left -= 1
                self.documents.append(message.payload["DocumentName"])
                self.script.before(message)
                self.node.accept(message)
                self._run(message)

    def _run(self, message: Message) -> None:
        worker = Worker(self.node.url, message.token(STEP))
        code, report = self._work(worker)
        while code == REBOOT:
            self.node.reply(message, "SuccessAndReboot", {STEP: {**step_result(code=REBOOT, out=report), **RERUN}})
            self.script.rebooting()
            self.script.host.boot_id += "'"
            self.script.host.boot_id = self.script.host.boot_id.replace("'", "-next")
            again = worker.start(BootId=self.script.host.boot_id)
            code, report = again["ExitCode"], again["Report"]
        status = "Failed" if code else "Success"
        self.node.reply(message, status, {STEP: step_result(status, code=code, out=report)})

    def _work(self, worker: Worker) -> tuple[int, str]:
        host = self.script.host
        order = worker.start(BootId=host.boot_id)
        worker.report(host.parts())
        if order["Operation"] == "Scan" and not order.get("PlanOnly"):
            answer = worker.finish(BootId=host.boot_id)
            return answer["ExitCode"], answer["Report"]
        plan = worker.settle(host.parts(), self.script.manager)
        if order.get("PlanOnly"):
            answer = worker.finish(BootId=host.boot_id)
            return answer["ExitCode"], answer["Report"]
        for item in plan["Items"]:
            if item["Name"] not in self.script.refuses:
                host.packages[item["Name"]] = Package(item["ToVersion"], repos=(SECURITY,))
        worker.report(host.parts())
        refused = [i for i in plan["Items"] if i["Name"] in self.script.refuses]
        failures = [{"Name": i["Name"], "Arch": i["Arch"], "Message": self.script.refuses[i["Name"]]} for i in refused]
        answer = worker.finish(
            exit_code=1 if failures else 0, PlanDigest=plan["Digest"], BootId=host.boot_id, Failures=failures
        )
        return answer["ExitCode"], answer["Report"]
