"""A fleet under a virtual clock and a bad network: seeded chance decides what happens, rules decide what may.

Nodes follow the agent's protocol: what they were handed they run once, and a reply that was not accepted they send
again. The network loses, repeats and reorders. The server dies after the writes of a transaction, before its commit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.command_lab import STEP, CommandLab
from tests.unit.fleet import HERE

from patchwright.core.commands import ERRORS, Command, Details, Invocation, may_move, roll_up
from patchwright.core.rates import concurrency_cap
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.advance_command import advance_command, threshold_of
from patchwright.flows.cancel_command import cancel_command, cancellable, take_cancels
from patchwright.flows.register_node import deregister_node
from patchwright.flows.run_invocation import accept_reply, acknowledge, take_messages
from patchwright.store import commands, nodes
from patchwright.store.engine import Engine, Tx

KILLS, LOSES, REPEATS = 0.12, 0.2, 0.2
MAX_COMMANDS = 5
OUTCOMES = ("Success", "Success", "Success", "Failed", "TimedOut", "Cancelled")


class Killed(Exception):
    """The server died after the writes, before the commit."""


@dataclass
class Reply:
    """One reply of a node, on its way until the node knows that it was taken."""

    node: NodeId
    command: CommandId
    id: str
    status: str
    steps: dict[str, Any] | None


@dataclass
class SimulatedNode:
    """What the node itself remembers. `ran` holds the outcome of every command that it has run, or will have."""

    id: NodeId
    there: bool = True
    registered: bool = True
    ran: dict[CommandId, str] = field(default_factory=dict)
    busy: set[CommandId] = field(default_factory=set)
    """Commands that it runs and has not ended."""


class World:
    """Acts by chance, and after each act checks what must hold."""

    def __init__(self, store: Engine, seed: int, *, nodes_count: int = 8) -> None:
        self.chance = random.Random(seed)
        self.lab = CommandLab(store)
        self.nodes = [SimulatedNode(n) for n in self.lab.add(nodes_count)]
        self.sent: list[CommandId] = []
        self.network: list[Reply] = []
        self.before: dict[CommandId, list[Invocation]] = {}
        self.story: list[str] = []
        self._replies = 0

    def run(self, acts: int) -> None:
        """So many acts, then let time pass until every command has ended."""
        for _ in range(acts):
            self._act()
            self.check()
        self._drain()

    def _act(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (2, self._send),
            (6, self._loop),
            (9, self._poll),
            (14, self._deliver),
            (3, self._beat),
            (4, self._tick),
            (1, self._come_and_go),
            (8, self._end),
            (1, self._cancel),
        ]
        if self.chance.random() < 0.01:
            acts.append((20, self._deregister))
        (act,) = self.chance.choices([a for _, a in acts], [w for w, _ in acts])
        act()

    def _write(self, work: Callable[[Tx], Any]) -> Any:
        """The work in a transaction; sometimes the server dies first, and then None."""
        dies = self.chance.random() < KILLS

        def maybe(tx: Tx) -> Any:
            result = work(tx)
            if dies:
                raise Killed
            return result

        try:
            return self.lab.store.write(maybe)
        except Killed:
            self.story.append("  killed before the commit")
            return None

    def _send(self) -> None:
        if len(self.sent) >= MAX_COMMANDS:
            return
        chosen = [n.id for n in self.nodes if n.registered and self.chance.random() < 0.8]
        if not chosen:
            return
        rates = {
            "MaxConcurrency": self.chance.choice(["1", "2", "50%", "100%", "50"]),
            "MaxErrors": self.chance.choice(["0", "1", "25%", "100%"]),
            "TimeoutSeconds": self.chance.choice([30, 600, 3_600]),
        }
        slow = self.chance.random() < 0.5
        self.sent.append(self.lab.send(chosen, slow=slow, **rates))
        self.story.append(f"send {len(self.sent)} to {len(chosen)} {rates}{' slowly' if slow else ''}")

    def _cancel(self) -> None:
        """An operator cancels a command, or a part of it; it may be over, or cancelled already."""
        if not self.sent:
            return
        command = self.chance.choice(self.sent)
        found = self.lab.invocations(command)
        some = [] if self.chance.random() < 0.5 else self.chance.sample([i.node_id for i in found], k=1)
        self.story.append(f"cancel {self.sent.index(command) + 1} on {[n[-2:] for n in some] or 'all'}")

        def cancel(tx: Tx) -> None:
            open_one = commands.get(tx, command)
            cancel_command(tx, open_one, cancellable(tx, open_one, some), whole=not some, now=self.lab.now)

        self._write(cancel)

    def _loop(self) -> None:
        for command in self.lab.store.read(commands.open_ids):
            self.story.append("loop")
            self._write(lambda tx, command=command: advance_command(tx, command, self.lab.now))

    def _poll(self) -> None:
        node = self.chance.choice(self.nodes)
        if not (node.there and node.registered):
            return
        taken = self._write(lambda tx: take_messages(tx, nodes.get_active(tx, node.id), self.lab.now))
        for message in taken or ():
            assert not message.invocation.details.terminal, "a command that is over was handed out"
            assert message.invocation.acknowledged_at is None, "an acknowledged command was handed out again"
            if self.chance.random() < LOSES:
                self.story.append(f"{node.id[-2:]} never got its message")
                continue
            self._receive(node, message.command.id)
        told = self._write(lambda tx: take_cancels(tx, nodes.get_active(tx, node.id), self.lab.now, limit=10))
        for invocation in told or ():
            assert invocation.details is Details.CANCELLING, "a cancel of what is not being cancelled was handed out"
            if self.chance.random() > LOSES:
                self._hear(node, invocation)

    def _hear(self, node: SimulatedNode, invocation: Invocation) -> None:
        """A node is told to end a command: it does, or finishes what it must not break off, or never had it."""
        command = invocation.command_id
        self.story.append(f"{node.id[-2:]} hears of the cancel of {self.sent.index(command) + 1}")
        if command in node.busy and self.chance.random() < 0.7:
            node.ran[command] = "Cancelled"
        if self.chance.random() > LOSES:
            mine = invocation.cancel_message_id
            self._write(lambda tx: acknowledge(tx, nodes.get_active(tx, node.id), mine, self.lab.now))

    def _end(self) -> None:
        """A node ends one of the commands that it runs."""
        busy = [(n, c) for n in self.nodes for c in sorted(n.busy)]
        if busy:
            node, command = self.chance.choice(busy)
            node.busy.remove(command)
            self._say_the_end(node, command)

    def _receive(self, node: SimulatedNode, command: CommandId) -> None:
        self.story.append(f"{node.id[-2:]} got {self.sent.index(command) + 1}")
        self._say(node, command, "InProgress", None)
        if self.chance.random() > LOSES:
            message_id = f"aws.ssm.{command}.{node.id}"
            self._write(lambda tx: acknowledge(tx, nodes.get_active(tx, node.id), message_id, self.lab.now))
        if command in node.ran:
            return  # a node runs a command once, however often it is handed over
        outcome = node.ran[command] = self.chance.choice(OUTCOMES)
        if outcome == "Success" and self.chance.random() < 0.2:
            self._say(node, command, "SuccessAndReboot", {STEP: _result("SuccessAndReboot", 194)})
        if self.chance.random() < 0.5:
            node.busy.add(command)
        else:
            self._say_the_end(node, command)

    def _say_the_end(self, node: SimulatedNode, command: CommandId) -> None:
        outcome = node.ran[command]
        done = {STEP: _result(outcome, 0 if outcome == "Success" else 1)}
        self._say(node, command, "InProgress", done)
        self._say(node, command, outcome, self.chance.choice([done, {}]))

    def _say(self, node: SimulatedNode, command: CommandId, status: str, steps: dict[str, Any] | None) -> None:
        self._replies += 1
        self.network.append(Reply(node.id, command, f"r{self._replies}", status, steps))

    def _deliver(self) -> None:
        """One reply arrives: any of them, perhaps not for the last time."""
        if not self.network:
            return
        reply = self.chance.choice(self.network)
        if not next(n for n in self.nodes if n.id == reply.node).registered:
            self.network.remove(reply)
            return
        self.story.append(f"{reply.node[-2:]} says {reply.status} of {self.sent.index(reply.command) + 1}")

        def take(tx: Tx) -> bool:
            accept_reply(
                tx,
                nodes.get_active(tx, reply.node),
                message_id=f"aws.ssm.{reply.command}.{reply.node}",
                reply_id=reply.id,
                reply={"documentStatus": reply.status, "runtimeStatus": reply.steps},
                now=self.lab.now,
            )
            return True

        if self._write(take) and self.chance.random() > REPEATS:
            self.network.remove(reply)

    def _beat(self) -> None:
        for node in self.nodes:
            if node.there and node.registered:
                self.lab.beat(node.id)

    def _tick(self) -> None:
        seconds = self.chance.choice([1, 5, 11, 40, 150, 400, 900])
        self.story.append(f"{seconds} s pass")
        self.lab.tick(seconds=seconds)

    def _come_and_go(self) -> None:
        node = self.chance.choice(self.nodes)
        node.there = not node.there
        self.story.append(f"{node.id[-2:]} is {'back' if node.there else 'away'}")

    def _deregister(self) -> None:
        node = self.chance.choice(self.nodes)
        if node.registered:
            gone = self._write(lambda tx: (deregister_node(tx, HERE, node.id, self.lab.now), True))
            node.registered = gone is None
            self.story.append(f"{node.id[-2:]} is deregistered: {not node.registered}")

    def _drain(self) -> None:
        """Nobody says anything any more: time alone ends every command, at the instants that the loop itself names."""
        for command in self.sent:
            for _ in range(200):
                look = self.lab.advance(command)
                self.check()
                if look is None:
                    break
                assert look > self.lab.now, "the loop would spin"
                self.lab.now = min(look, self.lab.command(command).expires_at)
            assert not self.lab.command(command).open, "a command never ended"

    def check(self) -> None:
        """The invariants. Source: style.md, Simulation invariants."""

        def read(tx: Tx) -> list[tuple[Command, list[Invocation]]]:
            return [(commands.get(tx, c), commands.invocations(tx, c)) for c in self.sent]

        for command, now in self.lab.store.read(read):
            self._check_command(command, now, self.before.get(command.id, now))
            self.before[command.id] = now

    def _check_command(self, command: Command, now: list[Invocation], before: list[Invocation]) -> None:
        cap = concurrency_cap(command.request.get("MaxConcurrency", "50"), command.target_count)
        assert sum(i.in_flight for i in now) <= cap, "more in progress than MaxConcurrency"
        stopped = sum(i.details in ERRORS for i in before) > threshold_of(command)
        counts: dict[Details, int] = {}
        for old, new in zip(before, now, strict=True):
            counts[new.details] = counts.get(new.details, 0) + 1
            moved = old.details is not new.details
            assert not moved or may_move(old.details, new.details), f"{old.details} -> {new.details}"
            assert not (stopped and old.waiting and new.in_flight), "started after the errors were too many"
            cancelled = command.cancelled_at is not None
            assert not (cancelled and new.undelivered), "still to be sent after the command was cancelled"
            assert new.cancel_requested_at is None or new.details.terminal or new.details is Details.CANCELLING
            assert (new.ended_at is not None) == new.details.terminal, "an end without its time, or the other way round"
        rolled = roll_up(counts, threshold=threshold_of(command), cancelled=command.cancelled_at is not None)
        kept = (
            command.status,
            command.status_details,
            command.completed_count,
            command.error_count,
            command.delivery_timed_out_count,
            command.open,
        )
        told = (rolled.status, rolled.details, rolled.completed, rolled.errors, rolled.delivery_timed_out, rolled.open)
        assert kept == told, "the command's counts are not those of its invocations"

    def check_results(self) -> None:
        """Whatever a node said of its step and was heard is what the step shows, in whatever order it came."""
        for node in self.nodes:
            for command, outcome in node.ran.items():
                (step,) = self.lab.store.read(lambda tx, c=command, n=node.id: commands.steps(tx, c, n))
                if step.standard_output and step.response_code in (0, 1):
                    assert step.standard_output == f"output of {outcome}", "a step's own word was overwritten"


def _result(status: str, code: int) -> dict[str, Any]:
    return {
        "status": status,
        "code": code,
        "standardOutput": f"output of {status}",
        "startDateTime": "2030-01-02T03:04:06.050Z",
        "endDateTime": "2030-01-02T03:04:07.050Z",
    }
