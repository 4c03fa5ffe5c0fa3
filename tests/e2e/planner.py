"""A planning server for one worker, scripted by the test: the worker's protocol without a database behind it.

    planner = Planner(network.address)
    run = planner.order(("tb-lib", "all", "1.0-1", "1.0-2"))   # what an Install is to bring; also run.plan_only
    done = run.work(root)                                      # runs the worker on a host; CompletedProcess
    run.finished["Failures"], run.facts[-1]                    # what the worker told
    run.before["SettlePlan"] = lambda body: repository.publish()   # something happens just before an answer

It asks as the real server does (TOGETHER, then EACH, then TOGETHER for the rest), drops what has a problem or a
removal, and answers a repeated hello as the protocol says.
Source: docs/reference/worker-protocol.md.
"""

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.roots import AGENT_FOLDER, Root

Item = tuple[str, str, str, str]  # name, arch, from, to
STATE_DIR = "/var/lib/patchwright-agent"
ENTRY = "import sys; from patchwright_agent.worker.main import main; sys.exit(main(sys.argv[1:]))"
TOKEN = "t0ken-of-the-run"


class PlannedRun:
    """One run: the order, and all that its worker says."""

    def __init__(self, url: str, number: int, targets: Sequence[Item]) -> None:
        self.id = f"run-{number}"
        self.command_dir = f"{STATE_DIR}/commands/c-{number}"
        self.targets = list(targets)
        self.plan_only = False
        self.operation = "Install"
        self.reboot_option = "NoReboot"
        self.exit_code: int | None = None  # None: what the worker says
        self.facts: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.modes: list[str] = []
        self.plans: list[dict[str, Any]] = []
        self.dropped: dict[tuple[str, str], str] = {}
        self.finished: dict[str, Any] = {}
        self.before: dict[str, Callable[[dict[str, Any]], None]] = {}
        self.lifetime_seconds = 900
        self.lock_wait_seconds = 1
        self.stall_seconds = 300.0
        self._url = url
        self._asked = ""
        self._settled = False

    @property
    def installed(self) -> dict[str, str]:
        """Name -> version, by the facts that came last."""
        rows = [row.split("\t") for row in self.facts[-1]["installed"]["packages"]]
        return {row[0]: row[2] for row in rows}

    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": AGENT_FOLDER, "PATCHWRIGHT_SERVER": self._url, "PATCHWRIGHT_INSECURE_HTTP": "1",
            "PATCHWRIGHT_TOKEN": TOKEN, "PATCHWRIGHT_STATE_DIR": STATE_DIR, "SSM_COMMAND_ID": self.id,
            "PATCHWRIGHT_COMMAND_DIR": self.command_dir, "PATCHWRIGHT_LOCK_WAIT_SECONDS": str(self.lock_wait_seconds),
            "PATCHWRIGHT_STALL_SECONDS": str(self.stall_seconds),
        }  # fmt: skip

    def start(self, root: Root) -> subprocess.Popen[str]:
        """Start the worker on a host, as the step of a document does: without waiting."""
        (root.path / self.command_dir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return root.popen(["python3", "-c", ENTRY, "patch"], env=self.environment())

    def work(self, root: Root, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the worker on a host to its end."""
        with self.start(root) as process:
            stdout, stderr = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess([], process.returncode, stdout, stderr)

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == operation]

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, body))
        if operation in self.before:
            self.before[operation](body)
        answers = {
            "StartPatchRun": self._hello,
            "PutFacts": self._put_facts,
            "SettlePlan": self._settle,
            "FinishPatchRun": self._finish,
        }
        return answers[operation](body)

    def _hello(self, _: dict[str, Any]) -> dict[str, Any]:
        order: dict[str, Any] = {
            "RunId": self.id, "Operation": self.operation, "RebootOption": self.reboot_option, "SnapshotId": "s",
            "PlanOnly": self.plan_only,
        }  # fmt: skip
        if self.finished:
            return dict(order, Ended=True, Report="the stored report", ExitCode=self._code())
        return dict(order, Plan=self.plans[-1]) if self._settled else order

    def _put_facts(self, body: dict[str, Any]) -> dict[str, Any]:
        if not all("Body" in part for part in body["Parts"]):
            return {"Accepted": False, "NeedParts": [part["Name"] for part in body["Parts"]]}
        self.facts.append({part["Name"]: json.loads(part["Body"]) for part in body["Parts"]})
        return {"Accepted": True, "NeedParts": []}

    def _settle(self, body: dict[str, Any]) -> dict[str, Any]:
        if "Mode" not in body:
            if body["Replan"] and len(self.plans) == 2:
                raise ValueError("there is no third Plan")
            self._settled, self._asked = False, "TOGETHER"
            self.dropped = {}
            return self._question()
        assert body["Mode"] == self._asked
        closures = body["Closures"]
        if self._asked == "TOGETHER":
            (joint,) = closures
            if not joint["Problem"] and not joint["Removed"]:
                return self._settled_plan(joint["Incoming"])
            self._asked = "EACH"
            return self._question()
        for closure in closures:
            if closure["Problem"] or closure["Removed"]:
                why = closure["Problem"] or f"removes {closure['Removed'][0]['Name']}"
                self.dropped[closure["Name"], closure["Arch"]] = why
        self._asked = "TOGETHER"
        return self._question()

    def _wanted(self) -> list[Item]:
        return [target for target in self.targets if target[:2] not in self.dropped]

    def _question(self) -> dict[str, Any]:
        self.modes.append(self._asked)
        keys = ("Name", "Arch", "FromVersion", "Version")
        return {
            "State": "RESOLVE", "Mode": self._asked,
            "Targets": [dict(zip(keys, target, strict=True)) for target in self._wanted()],
        }  # fmt: skip

    def _settled_plan(self, incoming: list[dict[str, str]]) -> dict[str, Any]:
        targets = {target[:2] for target in self._wanted()}
        items = []
        for change in incoming:
            role = "target" if (change["Name"], change["Arch"]) in targets else "dependency"
            items.append(
                {
                    "Name": change["Name"], "Arch": change["Arch"], "FromVersion": change["FromVersion"],
                    "ToVersion": change["Version"], "Role": role,
                }
            )  # fmt: skip
        lines = sorted("\t".join(item.values()) + "\n" for item in items)
        plan = {
            "Digest": hashlib.sha256("".join(lines).encode()).hexdigest(), "Items": items, "Dropped": [],
            "RebootOption": self.reboot_option, "LifetimeSeconds": self.lifetime_seconds,
        }  # fmt: skip
        self.plans.append(plan)
        self._settled = True
        return {"State": "SETTLED", "Plan": plan}

    def _finish(self, body: dict[str, Any]) -> dict[str, Any]:
        self.finished = self.finished or body
        return {"Report": "the report", "ExitCode": self._code()}

    def _code(self) -> int:
        return self.finished["ExitCode"] if self.exit_code is None else self.exit_code


class Planner:
    """Serves one run after another on one address."""

    def __init__(self, address: str) -> None:
        self._runs = 0
        self._current: PlannedRun | None = None
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"planner": self})
        self._server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def order(self, *targets: Item) -> PlannedRun:
        self._runs += 1
        self._current = PlannedRun(self.url, self._runs, targets)
        return self._current

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        assert self._current is not None
        with self._lock:
            return self._current.answer(operation, body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    planner: Planner
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].removeprefix("Patchwright.")
        status, answer = 200, {}
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, answer = 403, {"__type": "AccessDeniedException", "message": "not this run's token"}
        else:
            try:
                answer = self.planner.answer(operation, body)
            except ValueError as error:
                status, answer = 400, {"__type": "ValidationException", "message": str(error)}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
