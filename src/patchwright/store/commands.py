"""Commands, their invocations and the results of their steps."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, and_, bindparam, func, literal, or_, select, tuple_

from patchwright.core.commands import Command, Details, Invocation, RollUp, StepResult
from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import CommandId, NodeId, Scope
from patchwright.store.columns import from_micros
from patchwright.store.engine import Tx
from patchwright.store.tables import command, invocation, invocation_step, reply_seen
from patchwright.store.upsert import insert_or_ignore

CHUNK = 5_000
"""Ids of one statement: engines bound the parameters that they take (PostgreSQL: 65,535)."""


def insert(tx: Tx, new: Command, invocations: Sequence[Invocation], steps: Sequence[tuple[NodeId, StepResult]]) -> None:
    """Write a command with all its invocations and their steps at once."""
    values = asdict(new)
    scope = values.pop("scope")
    tx.execute(command.insert().values(**scope, **values))
    if invocations:
        tx.execute(invocation.insert(), [_invocation_row(i) for i in invocations])
    if steps:
        tx.execute(
            invocation_step.insert(),
            [{"command_id": new.id, "node_id": node_id, **asdict(step)} for node_id, step in steps],
        )


def get(tx: Tx, command_id: str, *, scope: Scope | None = None) -> Command:
    """Raises NotFound."""
    statement = select(command).where(command.c.id == command_id)
    if scope is not None:
        statement = statement.where(command.c.account == scope.account, command.c.region == scope.region)
    row = tx.execute(statement).mappings().first()
    if row is None:
        raise NotFound(Kind.COMMAND, f"Command {command_id} does not exist.", id=command_id)
    return _command(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFilter:
    """What a listing is narrowed to; None: does not matter. `statuses` are Status or StatusDetails, OR-ed."""

    command_id: str | None = None
    node_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    document_name: str | None = None
    statuses: tuple[str, ...] | None = None
    open: bool | None = None


def _conditions(scope: Scope, wanted: CommandFilter, by: Table) -> list[Any]:
    """`by` is the table whose status counts: of commands, or of invocations."""
    found: list[Any] = [command.c.account == scope.account, command.c.region == scope.region]
    if wanted.command_id is not None:
        found.append(command.c.id == wanted.command_id)
    if wanted.after is not None:
        found.append(command.c.requested_at > wanted.after)
    if wanted.before is not None:
        found.append(command.c.requested_at < wanted.before)
    if wanted.document_name is not None:
        found.append(command.c.document_name == wanted.document_name)
    if wanted.open is not None:
        found.append(command.c.open.is_(wanted.open))
    if wanted.statuses is not None:
        found.append(or_(by.c.status.in_(wanted.statuses), by.c.status_details.in_(wanted.statuses)))
    return found


def page(tx: Tx, scope: Scope, wanted: CommandFilter, *, before: tuple[int, str] | None, limit: int) -> list[Command]:
    """Commands of `scope`, newest first, those behind the (requested_at in microseconds, id) `before`."""
    statement = select(command).where(*_conditions(scope, wanted, command))
    if wanted.node_id is not None:
        on_node = select(invocation.c.command_id).where(invocation.c.node_id == wanted.node_id)
        statement = statement.where(command.c.id.in_(on_node))
    if before is not None:
        statement = statement.where(tuple_(command.c.requested_at, command.c.id) < tuple_(*_bound(before)))
    statement = statement.order_by(command.c.requested_at.desc(), command.c.id.desc()).limit(limit)
    return [_command(r) for r in tx.execute(statement).mappings()]


def invocation_page(
    tx: Tx, scope: Scope, wanted: CommandFilter, *, before: tuple[int, str, str] | None, limit: int
) -> list[tuple[Invocation, Command]]:
    """Invocations of `scope` with their commands, newest command first, then by node id."""
    keys = (command.c.requested_at, command.c.id, invocation.c.node_id)
    statement = (
        select(invocation, *(c.label(f"cmd_{c.name}") for c in command.c))
        .join(command, command.c.id == invocation.c.command_id)
        .where(*_conditions(scope, wanted, invocation))
    )
    if wanted.node_id is not None:
        statement = statement.where(invocation.c.node_id == wanted.node_id)
    if before is not None:
        at, command_id, node_id = before
        statement = statement.where(
            or_(
                tuple_(keys[0], keys[1]) < tuple_(*_bound((at, command_id))),
                and_(keys[1] == command_id, keys[2] > node_id),
            )
        )
    statement = statement.order_by(keys[0].desc(), keys[1].desc(), keys[2]).limit(limit)
    found = []
    for row in tx.execute(statement).mappings():
        mine = {k: v for k, v in row.items() if not k.startswith("cmd_")}
        theirs = {k[4:]: v for k, v in row.items() if k.startswith("cmd_")}
        found.append((invocation_from(mine), _command(theirs)))
    return found


def _bound(before: tuple[int, str]) -> tuple[Any, Any]:
    return literal(from_micros(before[0]), command.c.requested_at.type), literal(before[1])


def open_ids(tx: Tx) -> list[CommandId]:
    """Commands that are not finished, those that expire first at the front."""
    rows = tx.execute(select(command.c.id).where(command.c.open.is_(True)).order_by(command.c.expires_at, command.c.id))
    return [CommandId(r.id) for r in rows]


def invocations(tx: Tx, command_id: str) -> list[Invocation]:
    """All invocations of a command in their order of dispatch."""
    rows = tx.execute(
        select(invocation).where(invocation.c.command_id == command_id).order_by(invocation.c.ordinal)
    ).mappings()
    return [invocation_from(r) for r in rows]


def node_ids(tx: Tx, command_id: str) -> list[NodeId]:
    """The nodes of a command in their order of dispatch."""
    rows = tx.execute(
        select(invocation.c.node_id).where(invocation.c.command_id == command_id).order_by(invocation.c.ordinal)
    )
    return [NodeId(r.node_id) for r in rows]


def count_by_details(tx: Tx, command_id: str) -> dict[Details, int]:
    """How many invocations of a command are in which state."""
    rows = tx.execute(
        select(invocation.c.status_details, func.count().label("n"))
        .where(invocation.c.command_id == command_id)
        .group_by(invocation.c.status_details)
    )
    return {Details(row.status_details): row.n for row in rows}


def find_invocation(tx: Tx, command_id: str, node_id: str) -> Invocation | None:
    row = (
        tx.execute(select(invocation).where(invocation.c.command_id == command_id, invocation.c.node_id == node_id))
        .mappings()
        .first()
    )
    return None if row is None else invocation_from(row)


_OPEN_ON_NODE = and_(invocation.c.node_id == bindparam("node_id"), invocation.c.ended_at.is_(None))
_VISIBLE = invocation.c.visible_at <= bindparam("now", type_=invocation.c.visible_at.type)
_IS_SEND = and_(
    invocation.c.dispatched_at.is_not(None),
    invocation.c.acknowledged_at.is_(None),
    invocation.c.status_details != Details.CANCELLING,
)
_IS_CANCEL = and_(invocation.c.status_details == Details.CANCELLING, invocation.c.cancel_acknowledged_at.is_(None))
_SENDS = (
    select(invocation)
    .where(_OPEN_ON_NODE, _VISIBLE, _IS_SEND)
    .order_by(invocation.c.dispatched_at, invocation.c.command_id)
    .limit(bindparam("limit"))
)
_CANCELS = (
    select(invocation)
    .where(_OPEN_ON_NODE, _VISIBLE, _IS_CANCEL)
    .order_by(invocation.c.cancel_requested_at, invocation.c.command_id)
    .limit(bindparam("limit"))
)
_ANY = select(invocation.c.command_id).where(_OPEN_ON_NODE, _VISIBLE, or_(_IS_SEND, _IS_CANCEL)).limit(1)
_OPEN_ONES = select(invocation).where(_OPEN_ON_NODE)


def deliverable(tx: Tx, node_id: NodeId, now: datetime, *, limit: int) -> list[Invocation]:
    """Invocations that are dispatched to the node, not acknowledged, not over, and visible now; oldest first."""
    rows = tx.execute(_SENDS, {"node_id": node_id, "now": now, "limit": limit}).mappings()
    return [invocation_from(r) for r in rows]


def deliverable_cancels(tx: Tx, node_id: NodeId, now: datetime, *, limit: int) -> list[Invocation]:
    """Invocations that the node is to be told to end, or told again, now; those asked for first at the front."""
    rows = tx.execute(_CANCELS, {"node_id": node_id, "now": now, "limit": limit}).mappings()
    return [invocation_from(r) for r in rows]


def has_deliverable(tx: Tx, node_id: NodeId, now: datetime) -> bool:
    """Whether there is anything to hand to the node: asked by every parked poll."""
    return tx.execute(_ANY, {"node_id": node_id, "now": now}).first() is not None


def open_of_node(tx: Tx, node_id: NodeId) -> list[Invocation]:
    """The invocations on the node that are not over."""
    return [invocation_from(r) for r in tx.execute(_OPEN_ONES, {"node_id": node_id}).mappings()]


def update_invocation(tx: Tx, command_id: str, node_id: str, **values: Any) -> None:
    """Change the columns given; `details` sets the status that goes with it."""
    details: Details | None = values.pop("details", None)
    if details is not None:
        values |= {"status": details.status, "status_details": str(details)}
    tx.execute(
        invocation.update()
        .where(invocation.c.command_id == command_id, invocation.c.node_id == node_id)
        .values(**values)
    )


def save_roll_up(tx: Tx, command_id: str, rolled: RollUp) -> None:
    tx.execute(
        command.update()
        .where(command.c.id == command_id)
        .values(
            status=rolled.status,
            status_details=rolled.details,
            completed_count=rolled.completed,
            error_count=rolled.errors,
            delivery_timed_out_count=rolled.delivery_timed_out,
            open=rolled.open,
        )
    )


def set_cancelled(tx: Tx, command_id: str, now: datetime) -> None:
    """The whole command was cancelled by an operator."""
    tx.execute(command.update().where(command.c.id == command_id).values(cancelled_at=now))


def steps(tx: Tx, command_id: str, node_id: str) -> list[StepResult]:
    """The steps of one invocation in document order."""
    rows = tx.execute(
        select(invocation_step)
        .where(invocation_step.c.command_id == command_id, invocation_step.c.node_id == node_id)
        .order_by(invocation_step.c.ordinal)
    ).mappings()
    return [StepResult(**{k: v for k, v in r.items() if k not in ("command_id", "node_id")}) for r in rows]


def save_step(tx: Tx, command_id: str, node_id: str, step: StepResult) -> None:
    """Replace what is known of one step; it was inserted with the invocation."""
    values = asdict(step)
    name = values.pop("name")
    tx.execute(
        invocation_step.update()
        .where(
            invocation_step.c.command_id == command_id,
            invocation_step.c.node_id == node_id,
            invocation_step.c.name == name,
        )
        .values(**values)
    )


def first_reply(tx: Tx, node_id: str, reply_id: str, now: datetime) -> bool:
    """Remember a reply's id; False when it was seen before."""
    seen = tx.execute(
        select(reply_seen.c.at).where(reply_seen.c.node_id == node_id, reply_seen.c.reply_id == reply_id)
    ).first()
    if seen is not None:
        return False
    insert_or_ignore(tx, reply_seen, [{"node_id": node_id, "reply_id": reply_id, "at": now}])
    return True


def _invocation_row(value: Invocation) -> dict[str, Any]:
    row = asdict(value)
    details: Details = row.pop("details")
    return row | {"status": details.status, "status_details": str(details)}


def _command(row: Any) -> Command:
    values = dict(row)
    return Command(scope=Scope(account=values.pop("account"), region=values.pop("region")), **values)


def invocation_from(row: Any) -> Invocation:
    """An invocation of a row of its table."""
    values = dict(row)
    values.pop("status")
    return Invocation(details=Details(values.pop("status_details")), **values)
