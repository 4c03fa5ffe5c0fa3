"""Compliance that others put: the current report of each (node, type), those before it, and pages and sums of them.

The items of a report are one text: they are listed node by node, and counted by the columns beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select

from patchwright.core.compliance import RESOURCE_TYPE, TIME_KEY, Condition
from patchwright.core.compliance_reports import ComplianceItem, Report, levels_of, status_of
from patchwright.core.judgement import Levels
from patchwright.core.values import ComplianceLevel, ComplianceStatus, NodeId, Scope
from patchwright.store.compliance import NODE_TEXTS, constant, level_rank, text_test, time_test
from patchwright.store.engine import Tx
from patchwright.store.judgements import pack_levels, unpack_levels
from patchwright.store.tables import compliance_report, node

_r = compliance_report.c
_CURRENT = _r.valid_to.is_(None)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[ComplianceItem, ...]).decode
_TEXTS: Mapping[str, ColumnElement[Any]] = {
    "ComplianceType": _r.compliance_type,
    "ResourceType": constant(RESOURCE_TYPE),
    "Status": _r.status,
    "OverallSeverity": _r.overall_level,
    "Severity": _r.overall_level,
    "PatchGroup": constant(""),
    "PatchBaselineId": constant(""),
    "ResourceId": _r.node_id,
    "InstanceId": _r.node_id,
    "ExecutionId": _r.execution_id,
    "ExecutionType": _r.execution_type,
    "AWS:InstanceInformation.InstanceId": _r.node_id,
    **NODE_TEXTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSummary:
    """What a report amounts to, without its items."""

    node_id: NodeId
    compliance_type: str
    status: ComplianceStatus
    overall_level: ComplianceLevel
    levels: Levels
    execution_id: str
    execution_type: str
    executed_at: datetime
    valid_from: datetime
    valid_to: datetime | None


def current(tx: Tx, node_id: str, compliance_type: str) -> Report | None:
    """The report that stands."""
    found = [r for r in of_node(tx, node_id) if r.compliance_type == compliance_type]
    return found[0] if found else None


def of_node(tx: Tx, node_id: str) -> list[Report]:
    """The reports of a node that stand, by type."""
    rows = tx.execute(
        select(compliance_report).where(_r.node_id == node_id, _CURRENT).order_by(_r.compliance_type)
    ).mappings()
    found = [
        Report(
            compliance_type=r["compliance_type"],
            execution_id=r["execution_id"],
            execution_type=r["execution_type"],
            executed_at=r["executed_at"],
            content_hash=r["content_hash"],
            items=_decode(r["items"]),
        )
        for r in rows
    ]
    return sorted(found, key=lambda report: report.compliance_type)


def types_of(tx: Tx, node_id: str) -> set[str]:
    """The types that the node has items of."""
    return set(tx.execute(select(_r.compliance_type).where(_r.node_id == node_id, _CURRENT)).scalars())


def replace(tx: Tx, scope: Scope, node_id: NodeId, report: Report, now: datetime) -> None:
    """End the report of the type that stands, and begin the next; a report without items ends the type."""
    tx.execute(
        compliance_report.update()
        .where(_r.node_id == node_id, _r.compliance_type == report.compliance_type, _CURRENT)
        .values(valid_to=now)
    )
    if not report.items:
        return
    levels = levels_of(report.items)
    status, overall = status_of(levels)
    tx.execute(
        compliance_report.insert().values(
            node_id=node_id,
            account=scope.account,
            region=scope.region,
            compliance_type=report.compliance_type,
            status=status,
            overall_level=overall,
            levels=pack_levels(levels),
            n=len(report.items),
            execution_id=report.execution_id,
            execution_type=report.execution_type,
            executed_at=report.executed_at,
            content_hash=report.content_hash,
            items=_encode(report.items),
            valid_from=now,
            valid_to=None,
        )
    )


def forget_node(tx: Tx, node_id: NodeId) -> None:
    """Remove what was put of a node that was deregistered."""
    tx.execute(compliance_report.delete().where(_r.node_id == node_id))


def page(
    tx: Tx, scope: Scope, conditions: Sequence[Condition], *, after: tuple[str, str], limit: int
) -> list[ReportSummary]:
    """Reports that fulfil all conditions, by (node, type), those behind `after`."""
    node_id, compliance_type = after
    behind = or_(_r.node_id > node_id, and_(_r.node_id == node_id, _r.compliance_type > compliance_type))
    statement = _filtered(tx, _summaries(), scope, conditions).where(behind)
    rows = tx.execute(statement.order_by(_r.node_id, _r.compliance_type).limit(limit)).mappings()
    return [_summary(r) for r in rows]


def summary(
    tx: Tx, scope: Scope, conditions: Sequence[Condition]
) -> dict[str, dict[tuple[ComplianceStatus, ComplianceLevel], int]]:
    """Of each type, how many nodes have which status and overall level."""
    keys = (_r.compliance_type, _r.status, _r.overall_level)
    columns = select(*keys, func.count().label("n")).select_from(compliance_report)
    found: dict[str, dict[tuple[ComplianceStatus, ComplianceLevel], int]] = {}
    for r in tx.execute(_filtered(tx, columns, scope, conditions).group_by(*keys)):
        sides = found.setdefault(r.compliance_type, {})
        sides[ComplianceStatus(r.status), ComplianceLevel(r.overall_level)] = r.n
    return found


def _summaries() -> Any:
    return select(
        _r.node_id,
        _r.compliance_type,
        _r.status,
        _r.overall_level,
        _r.levels,
        _r.execution_id,
        _r.execution_type,
        _r.executed_at,
        _r.valid_from,
        _r.valid_to,
    )


def _summary(row: Any) -> ReportSummary:
    values = dict(row)
    return ReportSummary(
        levels=unpack_levels(values.pop("levels")),
        status=ComplianceStatus(values.pop("status")),
        overall_level=ComplianceLevel(values.pop("overall_level")),
        **values,
    )


def _filtered(tx: Tx, statement: Any, scope: Scope, conditions: Sequence[Condition]) -> Any:
    if any(condition.key in NODE_TEXTS for condition in conditions):
        statement = statement.join(node, node.c.id == _r.node_id)
    tests = [
        time_test(c, _r.executed_at) if c.key == TIME_KEY else text_test(tx, c, _TEXTS[c.key], _RANK)
        for c in conditions
    ]
    return statement.where(_r.account == scope.account, _r.region == scope.region, _CURRENT, *tests)


_RANK = level_rank(_r.overall_level)
