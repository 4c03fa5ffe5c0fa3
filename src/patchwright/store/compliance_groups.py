"""Every registered node in exactly one group: how nodes that have something in common fare. The database adds up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from patchwright.core.groups import PATCH_GROUP_KEYS
from patchwright.core.tags import TaggedType
from patchwright.core.values import ComplianceStatus, Scope
from patchwright.store.compliance import by_code_point
from patchwright.store.engine import Tx
from patchwright.store.tables import node, tag, verdict

SUMMED = (
    "missing", "failed", "installed_pending_reboot", "installed_rejected", "critical_non_compliant",
    "security_non_compliant", "other_non_compliant",
)  # fmt: skip
"""Counts of patches that are added up over the nodes of a group."""
_v = verdict.c


class Grouping(StrEnum):
    """What the nodes of one group have in common."""

    PATCH_GROUP = "PatchGroup"
    OPERATING_SYSTEM = "OperatingSystem"
    BASELINE = "Baseline"
    SEVERITY = "Severity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceGroup:
    """`value` is "" for nodes that have none. `patches` has a number for each of SUMMED."""

    value: str
    nodes: int
    compliant: int
    non_compliant: int
    unjudged: int
    not_scanned: int
    patches: Mapping[str, int]


def page(tx: Tx, scope: Scope, grouping: Grouping, *, after: str | None, limit: int) -> list[ComplianceGroup]:
    """Groups by their value, in the order of code points, those behind `after` (None: from the first)."""
    reported = and_(_v.node_id.is_not(None), _v.facts_id.is_not(None))
    single = (
        select(
            by_code_point(tx, _KEYS[grouping](scope)).label("value"),
            _one(_v.status == ComplianceStatus.COMPLIANT).label("compliant"),
            _one(_v.status == ComplianceStatus.NON_COMPLIANT).label("non_compliant"),
            _one(and_(reported, _v.status == ComplianceStatus.UNJUDGED)).label("unjudged"),
            _one(or_(_v.node_id.is_(None), _v.facts_id.is_(None))).label("not_scanned"),
            *(func.coalesce(_v[name], 0).label(name) for name in SUMMED),
        )
        .select_from(node.outerjoin(verdict, _v.node_id == node.c.id))
        .where(node.c.account == scope.account, node.c.region == scope.region, node.c.deregistered_at.is_(None))
        .subquery()
    )
    sums = [func.sum(c).label(c.name) for c in single.c if c.name != "value"]
    statement = select(single.c.value, func.count().label("nodes"), *sums).group_by(single.c.value)
    if after is not None:
        statement = statement.where(single.c.value > after)
    rows = tx.execute(statement.order_by(single.c.value).limit(limit)).mappings()
    return [_group(row) for row in rows]


def _one(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _patch_group(scope: Scope) -> ColumnElement[Any]:
    """As the verdict has it; of a node that was never judged, as its tags do."""
    tags = [
        select(tag.c.value)
        .where(
            tag.c.account == scope.account,
            tag.c.region == scope.region,
            tag.c.resource_type == TaggedType.MANAGED_INSTANCE,
            tag.c.resource_id == node.c.id,
            tag.c.key == key,
            tag.c.value != "",
        )
        .scalar_subquery()
        for key in PATCH_GROUP_KEYS
    ]
    return func.coalesce(_v.patch_group, *tags, "")


_KEYS: Mapping[Grouping, Callable[[Scope], ColumnElement[Any]]] = {
    Grouping.PATCH_GROUP: _patch_group,
    Grouping.OPERATING_SYSTEM: lambda _: func.coalesce(node.c.operating_system, ""),
    Grouping.BASELINE: lambda _: func.coalesce(_v.baseline_id, ""),
    Grouping.SEVERITY: lambda _: case((_v.status == ComplianceStatus.NON_COMPLIANT, _v.overall_level), else_=""),
}


def _group(row: Any) -> ComplianceGroup:
    values = dict(row)
    patches = {name: int(values.pop(name)) for name in SUMMED}
    value = values.pop("value")
    return ComplianceGroup(value=value, patches=patches, **{name: int(n) for name, n in values.items()})
