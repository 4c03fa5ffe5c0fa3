"""Runs of the patch worker: one per (node, command, step). Their results are kept as they were."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, text

from patchwright.core.values import NodeId, PatchOperation, RebootOption, Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import node, patch_run


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRun:
    """One patch operation on one node, from the worker's hello to its end. `result` holds counts as they were."""

    id: str
    node_id: NodeId
    scope: Scope
    command_id: str | None
    step: str
    operation: PatchOperation
    reboot_option: RebootOption
    snapshot_id: str
    started_at: datetime
    override_list: str = ""
    ended_at: datetime | None = None
    facts_at: datetime | None = None
    exit_code: int | None = None
    message: str = ""
    report: str = ""
    result: dict[str, Any] | None = field(default=None)
    boot_id: str = ""
    """The boot in which the run asked for a reboot; the boot in which it began until then."""
    plan_only: bool = False
    """Settle a plan and show it: nothing is applied."""
    draft: dict[str, Any] | None = None
    """A plan that is being settled."""
    plan: dict[str, Any] | None = None
    plan_digest: str | None = None
    planned_at: datetime | None = None
    plans: int = 0
    """How many plans were settled: a repository that moves on is followed once."""
    reboots_asked: int = 0
    reboot_asked_at: datetime | None = None
    """When the run asked for a reboot last."""
    baseline_override: str = ""
    override_digest: str | None = None
    """Of the override document that the run's worker fetched; its content is kept once."""
    """The rules that this run judges by, where they are others than the live ones."""


def insert(tx: Tx, run: PatchRun) -> None:
    values = asdict(run)
    scope = values.pop("scope")
    tx.execute(patch_run.insert().values(**values, **scope))


def find(tx: Tx, run_id: str) -> PatchRun | None:
    return _first(tx, patch_run.c.id == run_id)


def find_step(tx: Tx, node_id: str, command_id: str, step: str) -> PatchRun | None:
    """The run of one step of one command on one node: a worker that starts again goes on with it."""
    return _first(tx, patch_run.c.node_id == node_id, patch_run.c.command_id == command_id, patch_run.c.step == step)


def update(tx: Tx, run_id: str, **values: Any) -> None:
    tx.execute(patch_run.update().where(patch_run.c.id == run_id).values(**values))


_LIGHT = [c for c in patch_run.c if c.name not in ("report", "draft", "plan")]
"""What lists of many nodes need of a run; the rest can be megabytes."""


def latest(tx: Tx, node_ids: Sequence[str]) -> dict[str, PatchRun]:
    """The latest operation of each node that reported facts, ended or not; without its report and Plan.

    A plan alone is no operation.
    """
    other = patch_run.alias("other")
    # One look into the index for each node, however many runs it has had.
    newest = (
        select(other.c.id)
        .where(other.c.node_id == node.c.id, other.c.facts_at.is_not(None), other.c.plan_only.is_(False))
        .order_by(other.c.facts_at.desc(), other.c.id.desc())
        .limit(1)
        .correlate(node)
        .scalar_subquery()
    )
    rows = tx.execute(
        select(*_LIGHT).select_from(node.join(patch_run, patch_run.c.id == newest)).where(node.c.id.in_(node_ids))
    ).mappings()
    return {r["node_id"]: _run(r) for r in rows}


def latest_plan(tx: Tx, node_id: str) -> PatchRun | None:
    """The node's run that settled, or is settling, a Plan last."""
    return _first(
        tx,
        patch_run.c.node_id == node_id,
        or_(patch_run.c.plan.is_not(None), patch_run.c.draft.is_not(None)),
        newest_first=True,
    )


def of_command(tx: Tx, node_id: str, command_id: str) -> PatchRun | None:
    """The node's run of a command: a patch document has one step for each platform."""
    return _first(tx, patch_run.c.node_id == node_id, patch_run.c.command_id == command_id, newest_first=True)


def last_no_reboot_installs(tx: Tx, node_ids: Sequence[str]) -> dict[str, datetime]:
    """When each node's last Install with NoReboot ended; nodes that had none are absent."""
    rows = tx.execute(
        select(patch_run.c.node_id, func.max(patch_run.c.ended_at).label("at"))
        .where(
            patch_run.c.node_id.in_(node_ids),
            # Written out, as the condition of the index that serves this is.
            patch_run.c.operation == text(f"'{PatchOperation.INSTALL}'"),
            patch_run.c.reboot_option == text(f"'{RebootOption.NO_REBOOT}'"),
            patch_run.c.plan_only.is_(False),
            patch_run.c.ended_at.is_not(None),
            # One that was refused at its hello, or by its node, has installed nothing.
            patch_run.c.facts_at.is_not(None),
        )
        .group_by(patch_run.c.node_id)
    )
    return {r.node_id: r.at for r in rows}


def _first(tx: Tx, *where: Any, newest_first: bool = False) -> PatchRun | None:
    statement = select(patch_run).where(*where)
    if newest_first:
        statement = statement.order_by(patch_run.c.started_at.desc(), patch_run.c.id.desc()).limit(1)
    row = tx.execute(statement).mappings().first()
    return None if row is None else _run(row)


def _run(row: Any) -> PatchRun:
    values = dict(row)
    return PatchRun(
        scope=Scope(account=values.pop("account"), region=values.pop("region")),
        operation=PatchOperation(values.pop("operation")),
        reboot_option=RebootOption(values.pop("reboot_option")),
        **values,
    )
