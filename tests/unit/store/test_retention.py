"""Retention forgets what is old and finished, and nothing else."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from patchwright.core.baselines import PatchBaseline
from patchwright.core.commands import Command, Details, Invocation, StepResult
from patchwright.core.snapshots import Snapshot, SnapshotKey
from patchwright.core.values import BaselineId, CommandId, NodeId, OperatingSystem, PatchOperation, RebootOption, Scope
from patchwright.loops.retention import RetentionLoop
from patchwright.store import commands, overrides, patch_snapshots, runs
from patchwright.store.engine import Engine, Tx
from patchwright.store.retention import Retention
from patchwright.store.runs import PatchRun
from patchwright.store.tables import (
    activation,
    client_token,
    command,
    invocation_step,
    node,
    override_document,
    patch_run,
    reply_seen,
)

NOW = datetime(2030, 6, 1, tzinfo=UTC)
HERE = Scope(account="000000000001", region="local-1")
NODE = NodeId("mi-0123456789abcdef0")


def _node(tx: Tx) -> None:
    place = {"account": HERE.account, "region": HERE.region}
    tx.execute(
        activation.insert().values(
            id="a" * 36,
            code_hash="x",
            iam_role="r",
            registrations_count=0,
            expires_at=NOW,
            created_at=NOW,
            tags=[],
            **place,
        )
    )
    tx.execute(
        node.insert().values(
            id=NODE, activation_id="a" * 36, iam_role="r", public_key="k", fingerprint="f", registered_at=NOW, **place
        )
    )


def _command(tx: Tx, number: int, age: timedelta, *, open_: bool) -> None:
    at = NOW - age
    made = Command(
        id=CommandId(f"00000000-0000-4000-8000-{number:012d}"),
        scope=HERE,
        document_name="AWS-RunShellScript",
        document_version="1",
        content={},
        request={"TimeoutSeconds": 60},
        requested_by="u",
        requested_at=at,
        expires_at=at + timedelta(hours=1),
        status="Success",
        status_details="Success",
        target_count=1,
        open=open_,
    )
    invocation = Invocation(
        command_id=made.id, node_id=NODE, ordinal=0, node_name="n", details=Details.SUCCESS, requested_at=at
    )
    commands.insert(tx, made, [invocation], [(NODE, StepResult(name="s", ordinal=0, plugin="p"))])


def test_old_finished_commands_go_with_their_outputs_and_the_rest_stays(store: Engine) -> None:
    store.write(_node)
    for number in range(120):
        store.write(lambda tx, n=number: _command(tx, n, timedelta(days=31), open_=False))
    store.write(lambda tx: _command(tx, 900, timedelta(days=31), open_=True))
    store.write(lambda tx: _command(tx, 901, timedelta(days=29), open_=False))
    again = RetentionLoop(store, Retention()).turn(NOW)
    assert again == NOW + timedelta(hours=1)
    left = store.read(lambda tx: sorted(tx.execute(select(command.c.id)).scalars()))
    assert [i[-3:] for i in left] == ["900", "901"]
    assert store.read(lambda tx: tx.execute(select(func.count()).select_from(invocation_step)).scalar_one()) == 2


def test_tokens_and_reply_ids_end_after_their_time(store: Engine) -> None:
    def fill(tx: Tx) -> None:
        for i in range(1_200):
            tx.execute(
                reply_seen.insert().values(node_id=NODE, reply_id=f"r{i}", at=NOW - timedelta(days=8, seconds=i))
            )
        tx.execute(reply_seen.insert().values(node_id=NODE, reply_id="fresh", at=NOW - timedelta(days=1)))
        for i, age in enumerate((timedelta(days=3), timedelta(hours=1))):
            tx.execute(
                client_token.insert().values(
                    account=HERE.account,
                    region=HERE.region,
                    operation="o",
                    token=f"t{i}",
                    request_digest="d",
                    result={},
                    created_at=NOW - age,
                )
            )

    store.write(fill)
    RetentionLoop(store, Retention()).turn(NOW)
    assert store.read(lambda tx: list(tx.execute(select(reply_seen.c.reply_id)).scalars())) == ["fresh"]
    assert store.read(lambda tx: list(tx.execute(select(client_token.c.token)).scalars())) == ["t1"]


def _run(tx: Tx, name: str, age: timedelta, **values: object) -> None:
    at = NOW - age
    usual: dict[str, object] = {"ended_at": at, "facts_at": at, "operation": PatchOperation.SCAN}
    runs.insert(
        tx,
        PatchRun(
            id=name, node_id=NODE, scope=HERE, command_id=name, step="s", snapshot_id="s", started_at=at,
            reboot_option=RebootOption.NO_REBOOT, report="what it printed", **(usual | values),  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def test_runs_lose_their_texts_and_then_go_but_the_newest_of_a_kind_stays(store: Engine) -> None:
    store.write(_node)

    def fill(tx: Tx) -> None:
        for number in range(120):
            _run(tx, f"old-{number}", timedelta(days=401, seconds=number))
        _run(tx, "scan", timedelta(days=31))
        _run(tx, "install", timedelta(days=500), operation=PatchOperation.INSTALL, plan={"digest": "d"}, draft={"a": 1})
        _run(tx, "failed", timedelta(days=2), operation=PatchOperation.INSTALL, facts_at=None)
        _run(tx, "running", timedelta(days=32), ended_at=None, draft={"a": 1})

    store.write(fill)
    RetentionLoop(store, Retention()).turn(NOW)
    left = store.read(lambda tx: {r.id: r for r in tx.execute(select(patch_run))})
    assert set(left) == {"scan", "install", "failed", "running"}
    assert {name: bool(row.report) for name, row in left.items()} == {
        "scan": False, "install": False, "failed": True, "running": True,
    }  # fmt: skip
    assert left["install"].plan == {"digest": "d"}, "what was done stays"
    assert left["running"].draft == {"a": 1}


def test_override_documents_stay_with_their_runs_and_snapshots_for_three_days(store: Engine) -> None:
    store.write(_node)
    old = NOW - timedelta(days=31)
    for number in range(60):
        store.write(lambda tx, n=number: overrides.keep(tx, HERE.account, f"unused-{n}", {}, now=old))
    store.write(lambda tx: overrides.keep(tx, HERE.account, "used", {"patches": []}, now=old))
    store.write(lambda tx: overrides.keep(tx, HERE.account, "new", {}, now=NOW))
    store.write(lambda tx: overrides.keep(tx, HERE.account, "used", {"another": 1}, now=NOW))
    store.write(lambda tx: _run(tx, "r", timedelta(days=31), override_digest="used"))
    key = SnapshotKey(
        scope=HERE, patch_group="", operating_system=OperatingSystem.DEBIAN, snapshot_id=str(uuid.UUID(int=1))
    )
    rules = PatchBaseline(id=BaselineId("pb-0123456789abcdef0"), name="own", operating_system=OperatingSystem.DEBIAN)
    aged = Snapshot(key=key, baseline=rules, frozen_at=NOW - timedelta(days=3, seconds=1))
    other = replace(key, snapshot_id=str(uuid.UUID(int=2)))
    fresh = replace(aged, key=other, frozen_at=NOW - timedelta(days=2))
    store.write(lambda tx: patch_snapshots.save(tx, aged))
    store.write(lambda tx: patch_snapshots.save(tx, fresh))
    RetentionLoop(store, Retention()).turn(NOW)
    left = store.read(lambda tx: sorted(tx.execute(select(override_document.c.digest)).scalars()))
    assert left == ["new", "used"]
    assert store.read(lambda tx: overrides.find(tx, HERE.account, "used")) == {"patches": []}, "the first is kept"
    assert store.read(lambda tx: overrides.find(tx, "000000000002", "used")) is None
    assert store.read(lambda tx: (patch_snapshots.find(tx, key), patch_snapshots.find(tx, other))) == (None, fresh)
