"""500 agents at two doors under a virtual clock: frames are lost, doubled and reordered, agents and the server die.

The server's side is real: its flows, its frames and a SQLite store. The agents' side keeps their rules: recorded before
acknowledged, run once, a reply sent until it is known to be taken, with the same id, by whichever door. A round
delivers many frames in one transaction, as the group commit does. All chance comes from the seed.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.unit.command_lab import STEP, CommandLab

from patchwright.core.commands import Details
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.run_invocation import VISIBILITY, acknowledge
from patchwright.gateway import channel
from patchwright.gateway.context import NodeContext
from patchwright.gateway.credentials import registered
from patchwright.gateway.outgoing import take
from patchwright.store import commands, nodes
from patchwright.store.engine import Engine, Tx
from patchwright.wire.agent_frames import decode, encode
from patchwright.wire.credentials import NodeKeys, RunTokens
from patchwright.wire.snapshot_urls import SnapshotUrls
from patchwright_agent.daemon import channel_frames

AGENTS = 500
LOSES, DOUBLES, KILLS, DIES = 0.15, 0.15, 0.05, 0.02
ROUNDS = 400
"""Enough for every reply to get through at these odds; a run that needs more is a livelock."""
BATCH = 150
_MASTER = bytes(32)
_OUTCOMES = {"Success": 0, "Failed": 3, "TimedOut": 137}


@dataclass
class Agent:
    """What one agent's journal holds. `replies` are those whose acknowledgement it has not seen, by id."""

    id: NodeId
    connected: bool = True
    runs: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Flight:
    """One thing on its way: a frame of the channel, or in JSON what a poll and its acknowledgement carry."""

    agent: Agent
    to_server: bool
    data: bytes


class PushWorld:
    """One command to all agents, until the network is empty and everybody knows everything."""

    def __init__(self, store: Engine, seed: int, node_ids: list[NodeId]) -> None:
        self.chance = random.Random(seed)
        self.lab = CommandLab(store)
        self.agents = [Agent(node_id) for node_id in node_ids]
        self._by_id = {agent.id: agent for agent in self.agents}
        self.network: list[Flight] = []
        self.ends: dict[NodeId, Details] = {}
        self.told = 0
        self._unacknowledged: set[NodeId] = set(node_ids)

    def run(self) -> None:
        """Send, let it all happen, and check that each invocation ended once and rightly."""
        command = self.lab.send([a.id for a in self.agents], MaxConcurrency="100%", MaxErrors="100%")
        for _ in range(ROUNDS):
            self.lab.advance(command)
            self._offer()
            self._deliver()
            self._lose_some()
            self._resend()
            self.lab.tick(seconds=self.chance.choice((1, 2, 6)))
            self._check_moves(command)
            if self._is_over():
                break
        self._check_end(command)

    def _is_over(self) -> bool:
        return len(self.ends) == len(self.agents) and not any(a.replies for a in self.agents) and not self.network

    def _write(self, work: Callable[[Tx], list[Flight]]) -> list[Flight]:
        """What the transaction says is sent once it is committed; sometimes the server dies before that."""
        dies = self.chance.random() < KILLS

        def maybe(tx: Tx) -> list[Flight]:
            said = work(tx)
            if dies:
                raise _Killed
            return said

        try:
            return self.lab.store.write(maybe)
        except _Killed:
            for agent in self.agents:
                agent.connected = False
            return []

    def _offer(self) -> None:
        """Both doors drain the queue of some agents: the channel of who is connected, the poll of who is not."""
        # Who has nothing to take would only cost time; a few of them are asked all the same.
        asked = [a for a in self.agents if a.id in self._unacknowledged or self.chance.random() < 0.02]
        some = self.chance.sample(asked, min(BATCH, len(asked)))

        def work(tx: Tx) -> list[Flight]:
            said = []
            for agent in some:
                ctx = self._context(tx, agent)
                # A poll that was parked when the channel opened takes as well.
                if agent.connected and self.chance.random() < 0.9:
                    said += [Flight(agent, False, encode(frame)) for frame in channel.take_jobs(ctx)]
                else:
                    found = take(ctx, registered(ctx), visibility=VISIBILITY)
                    said += [Flight(agent, False, _poll_answer(one.message_id, one.topic)) for one in found]
            return said

        self._send(self._write(work))

    def _send(self, flights: list[Flight]) -> None:
        for flight in flights:
            if self.chance.random() < LOSES:
                continue
            self.network.append(flight)
            if self.chance.random() < DOUBLES:
                self.network.append(flight)

    def _deliver(self) -> None:
        """Some of what is on its way arrives, in any order."""
        self.chance.shuffle(self.network)
        count = len(self.network) if len(self.network) < 20 else self.chance.randint(10, 4 * BATCH)
        arriving, self.network = self.network[:count], self.network[count:]
        for flight in arriving:
            if not flight.to_server:
                self._at_agent(flight)
        heard = [flight for flight in arriving if flight.to_server]

        def work(tx: Tx) -> list[Flight]:
            answers = []
            for flight in heard:
                ctx = self._context(tx, flight.agent)
                if flight.data.startswith(b"{"):
                    acknowledge(tx, nodes.get_active(tx, flight.agent.id), json.loads(flight.data)["ack"], self.lab.now)
                    continue
                answer = channel.hear(ctx, decode(flight.data)).answer
                if answer is not None:
                    answers.append(Flight(flight.agent, False, encode(answer)))
            return answers

        self._send(self._write(work))

    def _at_agent(self, flight: Flight) -> None:
        agent = flight.agent
        if flight.data.startswith(b"{"):
            message_id, acknowledged = json.loads(flight.data)["job"], b""
        else:
            frame = channel_frames.decode(flight.data)
            if frame.kind == channel_frames.REPLY_ACK:
                agent.replies.pop(frame.payload["acknowledgedMessageId"], None)
                return
            message_id = frame.payload["JobId"]
            acknowledged = self._frame(
                channel_frames.JOB_ACK,
                {"jobId": message_id, "acknowledgedMessageId": frame.id, "statusCode": "200", "errorMessage": ""},
            )
        self._send([Flight(agent, True, acknowledged or json.dumps({"ack": message_id}).encode())])
        if message_id in agent.outcomes:
            return  # the journal knows it: it does not run again
        self.told += 1
        agent.runs[message_id] = agent.runs.get(message_id, 0) + 1
        outcome = agent.outcomes[message_id] = self.chance.choice(list(_OUTCOMES))
        step = {STEP: {"status": outcome, "code": _OUTCOMES[outcome], "standardOutput": f"{agent.id} {outcome}"}}
        for status, results in (("InProgress", None), ("InProgress", step), (outcome, step)):
            said = {"documentStatus": status, "runtimeStatus": results, "documentTraceOutput": ""}
            reply = {
                "schemaVersion": 1,
                "jobId": message_id,
                "content": json.dumps(said),
                "topic": "aws.ssm.sendCommand",
            }
            agent.replies[self._uuid()] = reply

    def _resend(self) -> None:
        """Agents send the replies that they don't know to be taken, now and then, always by their ids."""
        for agent in self.agents:
            if agent.replies and self.chance.random() < 0.5:
                flights = [
                    Flight(agent, True, self._frame(channel_frames.REPLY, reply, reply_id))
                    for reply_id, reply in agent.replies.items()
                ]
                self._send(flights)
            if not agent.connected and self.chance.random() < 0.4:
                agent.connected = True

    def _lose_some(self) -> None:
        """Sockets end, with all that is in them."""
        for agent in self.agents:
            if self.chance.random() < DIES:
                agent.connected = False
        self.network = [f for f in self.network if f.agent.connected or self.chance.random() < 0.7]

    def _check_moves(self, command: CommandId) -> None:
        now = self.lab.store.read(lambda tx: commands.invocations(tx, command))
        self._unacknowledged = {i.node_id for i in now if i.acknowledged_at is None and not i.details.terminal}
        for invocation in now:
            before = self.ends.get(invocation.node_id)
            if before is not None:
                assert invocation.details is before, (
                    f"{invocation.node_id} ended as {before}, then {invocation.details}"
                )
            elif invocation.details.terminal:
                self.ends[invocation.node_id] = invocation.details

    def _check_end(self, command: CommandId) -> None:
        assert len(self.ends) == len(self.agents), "an invocation never ended"
        assert not any(agent.replies for agent in self.agents), "a reply never got through"
        for agent in self.agents:
            (outcome,) = agent.outcomes.values()
            assert list(agent.runs.values()) == [1], f"{agent.id} ran it {agent.runs}"
            ended = self.ends[agent.id].name.replace("_", "")
            expected = {"Success": "SUCCESS", "Failed": "FAILED", "TimedOut": "EXECUTIONTIMEDOUT"}[outcome]
            assert ended == expected, f"{agent.id}: {outcome} is shown as {ended}"

        def read(tx: Tx) -> dict[NodeId, str]:
            return {a.id: commands.steps(tx, command, a.id)[0].standard_output for a in self.agents}

        for node_id, output in self.lab.store.read(read).items():
            assert output == f"{node_id} {next(iter(self._by_id[node_id].outcomes.values()))}"
        self.lab.advance(command)
        final = self.lab.command(command)
        assert not final.open
        assert final.completed_count == len(self.agents)

    def _context(self, tx: Tx, agent: Agent) -> NodeContext:
        return NodeContext(
            tx=tx,
            now=self.lab.now,
            ids=self.lab.ids,
            node_id=agent.id,
            run=None,
            keys=_KEYS,
            run_tokens=_TOKENS,
            snapshot_urls=_URLS,
            address="",
            apt_delays="honour",
            worker_source=dict,
        )

    def _frame(self, kind: str, payload: dict[str, Any], frame_id: str = "") -> bytes:
        return channel_frames.encode(kind, frame_id or self._uuid(), payload, self.lab.now.timestamp())

    def _uuid(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128)))


class _Killed(Exception):
    """The server died after the writes, before the commit."""


_KEYS, _TOKENS = NodeKeys(_MASTER), RunTokens(_MASTER)
_URLS = SnapshotUrls(b"k" * 32, "http://127.0.0.1")


def _poll_answer(message_id: str, topic: str) -> bytes:
    assert topic.startswith("aws.ssm.sendCommand.")
    return json.dumps({"job": message_id}).encode()
