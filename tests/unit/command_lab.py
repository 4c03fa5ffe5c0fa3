"""Commands under a virtual clock: the flows themselves on a real store, with nodes that do what a test tells them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.unit.counting import CountingIds
from tests.unit.fleet import HERE, NOW, Fleet

from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.commands import Command, Details, Invocation
from patchwright.core.nodes import ManagedNode
from patchwright.core.targets import Target
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.advance_command import advance_command
from patchwright.flows.cancel_command import cancel_command, cancellable, take_cancels
from patchwright.flows.run_invocation import Message, accept_reply, acknowledge, fail_message, take_messages
from patchwright.flows.send_command import select_nodes, send_command
from patchwright.store import commands, nodes
from patchwright.store.engine import Engine, Tx

STEP = "aws:runShellScript"


class CommandLab:
    """Nodes, commands and a clock. `beat` is what a heartbeat does, `advance` what the loop does."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.fleet = Fleet(store)
        self.ids = CountingIds()
        self.now: datetime = NOW
        self._replies = 0

    def tick(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)

    def add(self, count: int = 1, *, online: bool = True, platform: str | None = "Linux") -> list[NodeId]:
        made = [self.fleet.add() for _ in range(count)]
        for node_id in made if online else ():
            self.beat(node_id, platform)
        return made

    def beat(self, node_id: NodeId, platform: str | None = "Linux") -> None:
        self.store.write(lambda tx: nodes.touch(tx, node_id, self.now, platform_type=platform))

    def send(
        self,
        node_ids: Sequence[NodeId] = (),
        *,
        document: str = "AWS-RunShellScript",
        targets: Sequence[Target] = (),
        slow: bool = False,
        **request: Any,
    ) -> CommandId:
        """SendCommand as a transaction; MaxConcurrency, MaxErrors, TimeoutSeconds by their own names.

        `slow`: with the slow start.
        """
        asked: dict[str, Any] = {"Parameters": {"commands": ["true"]}, "InstanceIds": list(node_ids), **request}

        def work(tx: Tx) -> CommandId:
            chosen = select_nodes(tx, HERE, node_ids=node_ids, targets=targets)
            return send_command(
                tx,
                HERE,
                document=BUILTIN[document],
                request=asked,
                chosen=chosen,
                requested_by="arn:x",
                now=self.now,
                ids=self.ids,
                fast_start=not slow,
            ).id

        return self.store.write(work)

    def advance(self, command_id: CommandId) -> datetime | None:
        return self.store.write(lambda tx: advance_command(tx, command_id, self.now))

    def node(self, node_id: NodeId) -> ManagedNode:
        return self.store.read(lambda tx: nodes.get_active(tx, node_id))

    def take(self, node_id: NodeId) -> list[Message]:
        return self.store.write(lambda tx: take_messages(tx, nodes.get_active(tx, node_id), self.now))

    def acknowledge(self, node_id: NodeId, command_id: CommandId) -> None:
        message_id = f"aws.ssm.{command_id}.{node_id}"
        self.store.write(lambda tx: acknowledge(tx, nodes.get_active(tx, node_id), message_id, self.now))

    def reply(
        self,
        node_id: NodeId,
        command_id: CommandId,
        status: str,
        steps: object = None,
        *,
        reply_id: str | None = None,
        **more: Any,
    ) -> str:
        self._replies += 1
        chosen = reply_id or f"reply-{self._replies}"
        said = {"documentStatus": status, "runtimeStatus": steps, **more}
        message_id = f"aws.ssm.{command_id}.{node_id}"
        self.store.write(
            lambda tx: accept_reply(
                tx, nodes.get_active(tx, node_id), message_id=message_id, reply_id=chosen, reply=said, now=self.now
            )
        )
        return chosen

    def fail(self, node_id: NodeId, command_id: CommandId) -> None:
        message_id = f"aws.ssm.{command_id}.{node_id}"
        self.store.write(lambda tx: fail_message(tx, nodes.get_active(tx, node_id), message_id, "x", self.now))

    def finish(self, node_id: NodeId, command_id: CommandId, status: str = "Success") -> None:
        """Take, acknowledge and end the command on a node; then the loop has its turn."""
        assert command_id in [m.command.id for m in self.take(node_id)], f"{node_id} was not handed {command_id}"
        self.acknowledge(node_id, command_id)
        self.reply(node_id, command_id, status, {STEP: {"status": status, "code": 0}})
        self.advance(command_id)

    def cancel(self, command_id: CommandId, *node_ids: NodeId) -> None:
        """CancelCommand as a transaction: the whole command, or on the nodes named."""

        def work(tx: Tx) -> None:
            command = commands.get(tx, command_id)
            chosen = cancellable(tx, command, node_ids)
            cancel_command(tx, command, chosen, whole=not node_ids, now=self.now)

        self.store.write(work)

    def take_cancels(self, node_id: NodeId) -> list[Invocation]:
        return self.store.write(lambda tx: take_cancels(tx, nodes.get_active(tx, node_id), self.now, limit=10))

    def acknowledge_cancel(self, node_id: NodeId, told: Invocation) -> None:
        self.store.write(lambda tx: acknowledge(tx, nodes.get_active(tx, node_id), told.cancel_message_id, self.now))

    def command(self, command_id: CommandId) -> Command:
        return self.store.read(lambda tx: commands.get(tx, command_id))

    def invocations(self, command_id: CommandId) -> list[Invocation]:
        return self.store.read(lambda tx: commands.invocations(tx, command_id))

    def details(self, command_id: CommandId) -> list[Details]:
        """In order of dispatch."""
        return [i.details for i in self.invocations(command_id)]
