"""One daemon in this process, with a wire that records, for tests of what it makes of commands."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon_lab import NODE_ID

from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.command_run import Context
from patchwright_agent.daemon.identity import Identity
from patchwright_agent.daemon.journal import Journal, JournalError
from patchwright_agent.daemon.loop import Daemon
from patchwright_agent.daemon.outbox import Outbox
from patchwright_agent.daemon.reboot import Reboot
from patchwright_agent.transport import ServerError, Unreachable

COMMAND = "3b8f3a52-0d5e-4a3b-9a55-7f0f7b6f2c11"
FINALS = {"Success", "Failed", "TimedOut", "Cancelled"}


class Wire:
    """The node's calls, as they arrive at a server; `is_down` makes them fail."""

    instance_id = NODE_ID
    platform_name, platform_version = "Debian GNU/Linux", "12"

    def __init__(self) -> None:
        self.replies: list[tuple[str, dict[str, Any]]] = []
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self.documents: dict[tuple[str, str], Any] = {}
        self.is_down: Callable[[], bool] = lambda: False

    def begin_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        """Without a channel nothing is on its way before it is sent."""

    def send_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        self._reach()
        assert message_id.endswith(NODE_ID)
        self.replies.append((reply_id, json.loads(payload)))

    def acknowledge(self, message_id: str) -> None:
        self._reach()
        self.acknowledged.append(message_id)

    def fail_message(self, message_id: str, failure_type: str) -> None:
        self._reach()
        assert failure_type
        self.failed.append(message_id)

    def get_document(self, name: str, version: str) -> dict[str, Any]:
        self._reach()
        if (name, version) not in self.documents:
            raise ServerError("InvalidDocument", f"Document {name} does not exist", 400)
        content = self.documents[name, version]
        return {"Name": name, "Content": content if isinstance(content, str) else json.dumps(content)}

    def _reach(self) -> None:
        if self.is_down():
            raise Unreachable("down")

    @property
    def finals(self) -> list[tuple[str, dict[str, Any]]]:
        return [reply for reply in self.replies if reply[1]["documentStatus"] in FINALS]

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        gathered: dict[str, dict[str, Any]] = {}
        for _, payload in self.replies:
            gathered.update(payload["runtimeStatus"] or {})
        return gathered


class CrashingJournal(Journal):
    """Dies at its n-th write, before or after it: from then on nothing is written any more."""

    writes_left = 10**9
    before = True
    is_dead = False

    def append(self, kind: str, command_id: str, **members: Any) -> None:
        if not self.is_dead:
            self.writes_left -= 1
            self.is_dead = self.writes_left == 0
            if self.is_dead and not self.before:
                super().append(kind, command_id, **members)
        if self.is_dead:
            raise JournalError("crashed")
        super().append(kind, command_id, **members)


def daemon(
    wire: Wire,
    state_dir: Path,
    scan_only: bool = False,
    journal: Journal | None = None,
    url: str = "http://127.0.0.1:1",
    clock_offset: float = 0.0,
) -> Daemon:
    clock = Clock(clock_offset)
    journal = journal or Journal(str(state_dir), clock)
    identity = Identity(NODE_ID, "lab-1", url, "", False, b"", "fingerprint")
    context = Context(identity, wire, journal, Outbox(journal, wire), clock, str(state_dir), scan_only)  # type: ignore[arg-type]
    return Daemon(context, Reboot("/bin/false"), once=False)


def message(payload: Any, command_id: str = COMMAND, topic: str = "sendCommand") -> dict[str, str]:
    return {
        "MessageId": f"aws.ssm.{command_id}.{NODE_ID}",
        "Destination": NODE_ID,
        "Topic": f"aws.ssm.{topic}.lab.1",
        "CreatedDate": "2030-01-02T03:04:05.678Z",
        "Payload": payload if isinstance(payload, str) else json.dumps(payload),
    }


def settle(one: Daemon) -> None:
    deadline = time.monotonic() + 20
    while one.pool.is_busy:
        assert time.monotonic() < deadline
        one.pool.changed.wait(0.05)
        one.pool.changed.clear()


def run(wire: Wire, state_dir: Path, payload: Any, **options: Any) -> Daemon:
    one = daemon(wire, state_dir, **options)
    one.take(message(payload))
    settle(one)
    return one


def restart(wire: Wire, state_dir: Path, **options: Any) -> Daemon:
    one = daemon(wire, state_dir, **options)
    one.resume()
    settle(one)
    return one


def mark(folder: Path, name: str) -> str:
    """A script that leaves one line for each run."""
    return f"echo {name} >> {folder}/ran; echo {name}-output"


def ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return path.read_text().split() if path.exists() else []
