"""The push channel under a virtual clock: what is offered again and when, and who counts as present."""

import json
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import pytest
from tests.unit.command_lab import STEP, CommandLab

from patchwright.core.commands import Details
from patchwright.core.errors import Invalid
from patchwright.core.nodes import ONLINE_FOR
from patchwright.core.values import NodeId
from patchwright.gateway import channel
from patchwright.gateway.channel import BACK_OFF, UNANSWERED
from patchwright.gateway.context import NodeContext
from patchwright.store import commands
from patchwright.store.engine import Engine
from patchwright.wire.agent_frames import Frame
from patchwright.wire.credentials import NodeKeys, RunTokens
from patchwright.wire.snapshot_urls import SnapshotUrls

T = TypeVar("T")
MASTER = bytes(32)
WORKER = {"PATCHWRIGHT_WORKER_SHA256": "ab"}


class ChannelLab(CommandLab):
    """Commands under a virtual clock, taken and answered over a channel."""

    def on_channel(self, node_id: NodeId, work: Callable[[NodeContext], T]) -> T:
        def within(tx: Any) -> T:
            return work(
                NodeContext(
                    tx=tx,
                    now=self.now,
                    ids=self.ids,
                    node_id=node_id,
                    run=None,
                    keys=NodeKeys(MASTER),
                    run_tokens=RunTokens(MASTER),
                    snapshot_urls=SnapshotUrls(MASTER, "http://127.0.0.1"),
                    address="",
                    apt_delays="honour",
                    worker_source=lambda: WORKER,
                )
            )

        return self.store.write(within)

    def jobs(self, node_id: NodeId) -> list[dict[str, Any]]:
        frames = self.on_channel(node_id, channel.take_jobs)
        assert {f.kind for f in frames} <= {"agent_job"}
        return [json.loads(f.payload) for f in frames]

    def hear(self, node_id: NodeId, kind: str, **payload: Any) -> channel.Heard:
        frame = Frame(kind=kind, id=UUID(int=7), created=1, payload=json.dumps(payload).encode())
        return self.on_channel(node_id, lambda ctx: channel.hear(ctx, frame))

    def has_work(self, node_id: NodeId) -> bool:
        return self.on_channel(node_id, channel.has_work)


@pytest.fixture
def lab(store: Engine) -> ChannelLab:
    return ChannelLab(store)


def _sent(lab: ChannelLab, **more: Any) -> tuple[NodeId, str, str]:
    (node,) = lab.add()
    command = lab.send([node], **more)
    lab.advance(command)
    (job,) = lab.jobs(node)
    return node, command, job["JobId"]


def test_a_job_without_any_word_is_sent_again(lab: ChannelLab) -> None:
    node, _, job_id = _sent(lab)
    lab.tick(seconds=UNANSWERED.total_seconds() - 0.1)
    assert not lab.has_work(node)
    assert lab.jobs(node) == []
    lab.tick(seconds=0.1)
    assert lab.has_work(node)
    assert [j["JobId"] for j in lab.jobs(node)] == [job_id]


def test_an_acknowledged_job_is_not_sent_again(lab: ChannelLab) -> None:
    node, _, job_id = _sent(lab)
    assert lab.hear(node, "agent_job_ack", jobId=job_id, statusCode="200") == channel.Heard()
    lab.tick(hours=1)
    lab.beat(node)
    assert not lab.has_work(node)


@pytest.mark.parametrize("code", ["51401", "51402"])
def test_a_node_that_cannot_take_a_job_now_is_offered_it_later(lab: ChannelLab, code: str) -> None:
    node, command, job_id = _sent(lab)
    heard = lab.hear(node, "agent_job_ack", jobId=job_id, statusCode=code, errorMessage="ProcessorBufferFull")
    assert heard.look_again == BACK_OFF
    assert lab.jobs(node) == []
    lab.tick(seconds=BACK_OFF.total_seconds())
    assert [j["JobId"] for j in lab.jobs(node)] == [job_id]
    found = lab.store.read(lambda tx: commands.find_invocation(tx, command, node))
    assert found is not None
    assert found.details is Details.IN_PROGRESS


def test_what_a_poll_has_taken_is_not_on_the_channel_too(lab: ChannelLab) -> None:
    (node,) = lab.add()
    lab.advance(lab.send([node]))
    assert len(lab.take(node)) == 1
    assert lab.jobs(node) == []


def test_a_cancel_travels_before_other_jobs(lab: ChannelLab) -> None:
    node, command, job_id = _sent(lab)
    lab.hear(node, "agent_job_ack", jobId=job_id, statusCode="200")
    lab.advance(lab.send([node]))
    lab.cancel(command)
    cancel, other = lab.jobs(node)
    assert json.loads(cancel["Content"]) == {"CancelMessageId": job_id}
    assert ".sendCommand." in other["Topic"]


def test_a_node_that_is_heard_from_counts_as_online_before_its_heartbeat(lab: ChannelLab) -> None:
    """The server was away for long: the channel is open again at once, the heartbeat comes within five minutes."""
    (node,) = lab.add()
    lab.tick(seconds=ONLINE_FOR.total_seconds() + 1)
    command = lab.send([node])
    lab.advance(command)
    assert lab.has_work(node)
    lab.jobs(node)
    assert lab.node(node).last_ping_at == lab.now
    assert not lab.has_work(node)


def test_a_reply_is_answered_with_its_own_frame_id(lab: ChannelLab) -> None:
    node, command, job_id = _sent(lab)
    content = json.dumps({"documentStatus": "Success", "runtimeStatus": {STEP: {"status": "Success", "code": 0}}})
    answer = lab.hear(node, "agent_job_reply", jobId=job_id, content=content).answer
    assert answer is not None
    assert answer.kind == "agent_job_reply_ack"
    assert json.loads(answer.payload) == {"jobId": job_id, "acknowledgedMessageId": str(UUID(int=7))}
    assert lab.command(command).status == "Success"


def test_only_steps_of_patch_documents_are_told_where_the_worker_is(lab: ChannelLab) -> None:
    (node,) = lab.add()
    lab.advance(lab.send([node]))
    lab.advance(lab.send([node], document="AWS-RunPatchBaseline", Parameters={"Operation": ["Scan"]}))
    shell, patch = (json.loads(j["Content"])["DocumentContent"]["mainSteps"] for j in lab.jobs(node))
    assert "environment" not in shell[0]["inputs"]
    for step in patch:
        assert set(step["inputs"]["environment"]) == {"PATCHWRIGHT_TOKEN", *WORKER}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("agent_job_ack", {}),
        ("agent_job_ack", {"jobId": "x", "statusCode": 200}),
        ("agent_job_reply", {"jobId": "x"}),
        ("agent_job_reply", {"jobId": "x", "content": "{"}),
        ("agent_job_reply", {"jobId": "x", "content": "[]"}),
        ("agent_job_reply", {"jobId": ["x"], "content": "{}"}),
    ],
)
def test_a_frame_that_makes_no_sense_is_refused(lab: ChannelLab, kind: str, payload: dict[str, Any]) -> None:
    (node,) = lab.add()
    with pytest.raises(Invalid):
        lab.hear(node, kind, **payload)
