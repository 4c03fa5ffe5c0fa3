"""A roll-out to 10,000 nodes: what one node of it costs the server, from its poll to its final reply."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure, median
from patchwright.core.activations import Activation
from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import CommandId, NodeId, Scope
from patchwright.flows.advance_command import advance_command
from patchwright.flows.cancel_command import cancel_command, cancellable
from patchwright.flows.run_invocation import accept_reply, acknowledge, take_messages
from patchwright.flows.send_command import send_command
from patchwright.server.clock import SystemIds
from patchwright.store import activations, commands, nodes
from patchwright.store.engine import Tx
from patchwright.store.migrate import migrate
from patchwright.store.sqlite import SqliteEngine

NODES = 10_000
SHORT = 100
SAMPLE = 90
"""Nodes that are measured, at the start of a roll-out: all others wait, which is the most that a turn can meet."""
SCOPE = Scope(account="000000000001", region="local-1")
_STEP = {"aws:runShellScript": {"status": "Success", "code": 0}}


class RollOut:
    """One command on many nodes in a store of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        self.store = SqliteEngine(folder / f"{count}.db")
        with self.store.connection() as connection:
            migrate(connection)
        self._ids = SystemIds()
        self.now = datetime.now(UTC)
        self._count = count
        self.store.write(self._make_nodes)

    def _make_nodes(self, tx: Tx) -> None:
        soon = self.now + timedelta(days=1)
        made = Activation(
            id=self._ids.uuid(), scope=SCOPE, code_hash="x", iam_role="bench", expires_at=soon, created_at=self.now
        )
        activations.insert(tx, made)
        for _ in range(self._count):
            node_id = NodeId(self._ids.node())
            node = ManagedNode(
                id=node_id,
                scope=SCOPE,
                activation_id=made.id,
                iam_role="bench",
                public_key="",
                fingerprint="",
                registered_at=self.now,
            )
            nodes.insert(tx, node)
            nodes.touch(tx, node_id, self.now, platform_type="Linux")

    def send(self) -> CommandId:
        """SendCommand as an operator's call makes it, at a concurrency of 50 and with the slow start."""
        request = {"Parameters": {"commands": ["true"]}, "MaxConcurrency": "50", "MaxErrors": "100%"}

        def work(tx: Tx) -> CommandId:
            chosen = nodes.page(tx, SCOPE, limit=self._count, now=self.now)
            return send_command(
                tx,
                SCOPE,
                document=BUILTIN["AWS-RunShellScript"],
                request=request,
                chosen=chosen,
                requested_by="arn:bench",
                now=self.now,
                ids=self._ids,
                fast_start=False,
            ).id

        return self.store.write(work)

    def run_one(self, command: CommandId) -> float:
        """Seconds for one node: poll, acknowledgement, final reply and a turn of the loop, a transaction each."""
        offered = next(i for i in self.store.read(lambda tx: commands.invocations(tx, command)) if i.in_flight)
        node, message, now = offered.node_id, offered.message_id, self.now
        reply = {"documentStatus": "Success", "runtimeStatus": _STEP}
        began = time.perf_counter()
        self.store.write(lambda tx: take_messages(tx, nodes.get_active(tx, node), now))
        self.store.write(lambda tx: acknowledge(tx, nodes.get_active(tx, node), message, now))
        self.store.write(
            lambda tx: accept_reply(
                tx, nodes.get_active(tx, node), message_id=message, reply_id=node, reply=reply, now=now
            )
        )
        self.store.write(lambda tx: advance_command(tx, command, now))
        return time.perf_counter() - began

    def cancel(self, command: CommandId) -> float:
        """Seconds until a cancel of the whole command is committed."""

        def work(tx: Tx) -> None:
            found = commands.get(tx, command)
            cancel_command(tx, found, cancellable(tx, found, ()), whole=True, now=self.now)

        began = time.perf_counter()
        self.store.write(work)
        return time.perf_counter() - began


def measure() -> list[Figure]:
    """All figures of this file; the peer of a long roll-out is a short one."""
    per_node: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="pw-bench-commands-") as folder:
        for count in (SHORT, NODES):
            roll_out = RollOut(Path(folder), count)
            began = time.perf_counter()
            command = roll_out.send()
            sent = time.perf_counter() - began
            per_node[count] = median([roll_out.run_one(command) for _ in range(SAMPLE)])
            cancelled = roll_out.cancel(command)
            roll_out.store.close()
    long, short = per_node[NODES] * 1_000, per_node[SHORT] * 1_000
    to_all = f"{NODES} nodes, committed"
    return [
        Figure(
            name="roll-out, one node",
            what=f"of {NODES}: poll, acknowledgement, final reply and turn of the loop, 4 commits",
            value=long,
            unit="ms",
            peer=f"of {SHORT}",
            peer_value=short,
            ratio=long / short,
            limit=round(1.5 * short, 1),
        ),
        Figure(name="roll-out, sent", what=f"SendCommand to {to_all}", value=sent, unit="s"),
        Figure(name="roll-out, cancelled", what=f"CancelCommand on {to_all}", value=cancelled, unit="s"),
    ]
