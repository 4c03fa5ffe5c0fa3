"""Compliance of the fleet as verdicts have it: pages, sums and groups, filtered by the database on both engines.

A node without a judgement has no compliance: rows are COMPLIANT or NON_COMPLIANT, never made up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, collate, func, literal, not_, or_, select

from patchwright.core.compliance import (
    COMPLIANCE_TYPE,
    EXECUTION_TYPE,
    RESOURCE_TYPE,
    SEVERITY_KEYS,
    TIME_KEY,
    Condition,
    Operator,
)
from patchwright.core.judgement import Counts
from patchwright.core.values import ComplianceLevel, ComplianceStatus, NodeId, Scope
from patchwright.store.engine import Tx
from patchwright.store.judgements import Verdict, verdict_from
from patchwright.store.tables import command, node, node_seen, patch_run, verdict

_v = verdict.c
_JUDGED = _v.status.in_([ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT])
_REPORTED = _v.facts_id.is_not(None)
_any_run = patch_run.alias("any_run")
_LATEST = (
    select(_any_run.c.id)
    .where(_any_run.c.node_id == _v.node_id, _any_run.c.facts_at.is_not(None), _any_run.c.plan_only.is_(False))
    .order_by(_any_run.c.facts_at.desc(), _any_run.c.id.desc())
    .limit(1)
    .correlate(verdict)
    .scalar_subquery()
)
_executed_at = func.coalesce(patch_run.c.ended_at, patch_run.c.facts_at, node_seen.c.facts_at, _v.judged_at)


def level_rank(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A level as its rank, which orders."""
    return case(*((column == level, level.rank) for level in ComplianceLevel), else_=0)


def constant(text: str) -> ColumnElement[Any]:
    """What is the same in every row."""
    return literal(text, String)


_RANK = level_rank(_v.overall_level)
NODE_TEXTS: Mapping[str, ColumnElement[Any]] = {
    "AWS:InstanceInformation.PlatformType": func.coalesce(node.c.platform_type, ""),
    "AWS:InstanceInformation.PlatformName": func.coalesce(node.c.platform_name, ""),
    "AWS:InstanceInformation.PlatformVersion": func.coalesce(node.c.platform_version, ""),
    "AWS:InstanceInformation.ComputerName": func.coalesce(node.c.computer_name, ""),
    "AWS:InstanceInformation.AgentVersion": func.coalesce(node.c.agent_version, ""),
}
"""What filters may ask of the node itself."""
_TEXTS: Mapping[str, ColumnElement[Any]] = {
    "ComplianceType": constant(COMPLIANCE_TYPE),
    "ResourceType": constant(RESOURCE_TYPE),
    "Status": _v.status,
    "OverallSeverity": _v.overall_level,
    "Severity": _v.overall_level,
    "PatchGroup": _v.patch_group,
    "PatchBaselineId": _v.baseline_id,
    "ResourceId": _v.node_id,
    "InstanceId": _v.node_id,
    "ExecutionId": func.coalesce(patch_run.c.snapshot_id, ""),
    "ExecutionType": case((patch_run.c.id.is_not(None), EXECUTION_TYPE), else_=""),
    "AWS:InstanceInformation.InstanceId": _v.node_id,
    **NODE_TEXTS,
}
SUMMARY_KEYS = (*_TEXTS, TIME_KEY)
"""What summaries can be filtered by."""
_OF_RUN = frozenset({"ExecutionId", "ExecutionType", TIME_KEY})
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The latest patch operation that reported facts; without one, `at` is when the node's facts last came.

    A plan alone is no operation. `document` is "" once the operation's command is forgotten.
    """

    id: str | None
    at: datetime
    override_list: str = ""
    document: str = ""


def resource_page(
    tx: Tx, scope: Scope, conditions: Sequence[Condition], *, after: str, from_it: bool, limit: int
) -> list[Verdict]:
    """Judged nodes that fulfil all conditions, in id order, those behind `after`, or from it on."""
    behind = _v.node_id >= after if from_it else _v.node_id > after
    statement = _filtered(tx, select(verdict).select_from(verdict), scope, conditions).where(behind)
    return _verdicts(tx, statement.order_by(_v.node_id).limit(limit))


def summary(
    tx: Tx, scope: Scope, conditions: Sequence[Condition]
) -> dict[tuple[ComplianceStatus, ComplianceLevel], int]:
    """How many judged nodes have which status and overall level."""
    columns = select(_v.status, _v.overall_level, func.count().label("n")).select_from(verdict)
    statement = _filtered(tx, columns, scope, conditions).group_by(_v.status, _v.overall_level)
    return {(ComplianceStatus(r.status), ComplianceLevel(r.overall_level)): r.n for r in tx.execute(statement)}


def executions(tx: Tx, node_ids: Collection[NodeId]) -> dict[NodeId, Execution]:
    """The latest execution of each node that has a verdict."""
    columns = (
        _v.node_id,
        patch_run.c.snapshot_id.label("id"),
        _executed_at.label("at"),
        func.coalesce(patch_run.c.override_list, "").label("override_list"),
        func.coalesce(command.c.document_name, "").label("document"),
    )
    statement = _with_run(select(*columns).select_from(verdict)).outerjoin(
        command, command.c.id == patch_run.c.command_id
    )
    rows = tx.execute(statement.where(_v.node_id.in_(list(node_ids)))).mappings()
    return {NodeId(r["node_id"]): Execution(**{k: v for k, v in r.items() if k != "node_id"}) for r in rows}


def group_page(
    tx: Tx, scope: Scope, patch_group: str, counts: Sequence[tuple[str, Operator, int]], *, after: str, limit: int
) -> list[Verdict]:
    """Nodes of a patch group that ever reported, in id order; `counts` are a count's name, how, and a number."""
    statement = select(verdict).where(*_in_group(scope, patch_group), _v.node_id > after)
    for name, operator, number in counts:
        statement = statement.where(_COMPARE[operator](_v[name], number))
    return _verdicts(tx, statement.order_by(_v.node_id).limit(limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """How many nodes of a patch group there are, and how many have more than 0 of each count (Counts' names)."""

    nodes: int
    nodes_with: Mapping[str, int]


def group_state(tx: Tx, scope: Scope, patch_group: str) -> GroupState:
    """Added up by the database; all zeros for a group that no node names."""
    names = [f.name for f in fields(Counts)]
    sums = [func.coalesce(func.sum(case((_v[name] > 0, 1), else_=0)), 0).label(name) for name in names]
    row = tx.execute(select(func.count().label("nodes"), *sums).where(*_in_group(scope, patch_group))).one()
    return GroupState(nodes=row.nodes, nodes_with={name: int(getattr(row, name)) for name in names})


def _in_group(scope: Scope, patch_group: str) -> tuple[ColumnElement[bool], ...]:
    return (_v.account == scope.account, _v.region == scope.region, _v.patch_group == patch_group, _REPORTED)


def _filtered(tx: Tx, statement: Any, scope: Scope, conditions: Sequence[Condition]) -> Any:
    keys = {c.key for c in conditions}
    if keys & _OF_RUN:
        statement = _with_run(statement)
    if any(key.startswith("AWS:") for key in keys):
        statement = statement.join(node, node.c.id == _v.node_id)
    tests = [_test(tx, condition) for condition in conditions]
    return statement.where(_v.account == scope.account, _v.region == scope.region, _JUDGED, *tests)


def _with_run(statement: Any) -> Any:
    return statement.outerjoin(patch_run, patch_run.c.id == _LATEST).outerjoin(
        node_seen, node_seen.c.node_id == _v.node_id
    )


def _test(tx: Tx, condition: Condition) -> ColumnElement[bool]:
    """A condition as SQL; it means what `core.compliance.holds` says of one value."""
    if condition.key == TIME_KEY:
        return time_test(condition, _executed_at)
    return text_test(tx, condition, _TEXTS[condition.key], _RANK)


def text_test(
    tx: Tx, condition: Condition, column: ColumnElement[Any], rank: ColumnElement[Any]
) -> ColumnElement[bool]:
    """A condition on a text in a column; `rank` is what a severity is ordered by."""
    values = condition.values
    match condition.operator:
        case Operator.EQUAL:
            return column.in_(values)
        case Operator.NOT_EQUAL:
            return column.not_in(values)
        case Operator.BEGIN_WITH:
            return or_(*(func.substr(column, 1, len(v)) == v for v in values))
        case operator if condition.key in SEVERITY_KEYS:
            return or_(*(_COMPARE[operator](rank, ComplianceLevel(v).rank) for v in values))
        case operator:
            return or_(*(_COMPARE[operator](by_code_point(tx, column), v) for v in values))


def by_code_point(tx: Tx, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A text as both engines order alike: SQLite does so by itself, PostgreSQL by its database's language."""
    return collate(column, "C") if tx.connection.dialect.name == "postgresql" else column


def time_test(condition: Condition, moment: ColumnElement[Any]) -> ColumnElement[bool]:
    """A condition on an instant. Instants count to the second, as they are shown."""
    starts = [datetime.fromisoformat(v) for v in condition.values]
    within = or_(*(and_(moment >= _instant(s), moment < _instant(s + _SECOND)) for s in starts))
    match condition.operator:
        case Operator.EQUAL:
            return within
        case Operator.NOT_EQUAL:
            return not_(within)
        case Operator.LESS_THAN:
            return or_(*(moment < _instant(s) for s in starts))
        case _:
            return or_(*(moment >= _instant(s + _SECOND) for s in starts))


def _instant(moment: datetime) -> ColumnElement[Any]:
    return literal(moment, _v.judged_at.type)


_COMPARE: Mapping[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    Operator.EQUAL: lambda column, value: column == value,
    Operator.NOT_EQUAL: lambda column, value: column != value,
    Operator.LESS_THAN: lambda column, value: column < value,
    Operator.GREATER_THAN: lambda column, value: column > value,
}


def _verdicts(tx: Tx, statement: Any) -> list[Verdict]:
    return [verdict_from(r) for r in tx.execute(statement).mappings()]
