"""Which nodes have what: filters and aggregations of inventory, by the database on both engines.

Attributes of a type that the server derives are columns of the node or of its verdict; all others are values of rows.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, and_, case, cast, false, func, literal, not_, or_, select

from patchwright.core.inventory import InventoryCondition, InventoryOperator, number_of, seen
from patchwright.core.inventory_types import INSTANCE_INFORMATION, PATCH_SUMMARY
from patchwright.core.values import ComplianceStatus, NodeId, Scope
from patchwright.store.compliance import by_code_point
from patchwright.store.engine import Tx
from patchwright.store.inventory_sets import row_ids_of
from patchwright.store.tables import inventory_item, inventory_member, inventory_value, node, verdict

_n, _v = node.c, verdict.c
_ACTIVE = "Active"
_TEXT = String(255)
_JUDGED = _v.status.in_([ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT])
_COLUMNS: Mapping[str, Mapping[str, ColumnElement[Any]]] = {
    INSTANCE_INFORMATION: {
        "AgentType": func.coalesce(_n.agent_name, ""),
        "AgentVersion": func.coalesce(_n.agent_version, ""),
        "ComputerName": func.coalesce(_n.computer_name, ""),
        "InstanceId": _n.id,
        "IpAddress": func.coalesce(_n.ip_address, ""),
        "PlatformName": func.coalesce(_n.platform_name, ""),
        "PlatformType": func.coalesce(_n.platform_type, ""),
        "PlatformVersion": func.coalesce(_n.platform_version, ""),
        "ResourceType": literal("ManagedInstance", _TEXT),
        "AgentStatus": literal(_ACTIVE, _TEXT),
        "InstanceStatus": literal(_ACTIVE, _TEXT),
    },
    PATCH_SUMMARY: {
        "PatchGroup": _v.patch_group,
        "BaselineId": _v.baseline_id,
        "InstalledCount": _v.installed,
        "InstalledOtherCount": _v.installed_other,
        "InstalledPendingRebootCount": _v.installed_pending_reboot,
        "InstalledRejectedCount": _v.installed_rejected,
        "NotApplicableCount": _v.not_applicable,
        "UnreportedNotApplicableCount": _v.unreported_not_applicable,
        "MissingCount": _v.missing,
        "FailedCount": _v.failed,
        "CriticalNonCompliantCount": _v.critical_non_compliant,
        "SecurityNonCompliantCount": _v.security_non_compliant,
        "OtherNonCompliantCount": _v.other_non_compliant,
        "AvailableSecurityUpdateCount": _v.available_security_update,
        "NonCompliantSeverity": case((_v.status == ComplianceStatus.NON_COMPLIANT, _v.overall_level), else_=""),
    },
}
COLUMN_KEYS = frozenset(f"{type_name}.{name}" for type_name, columns in _COLUMNS.items() for name in columns)
"""What of the derived types filters and aggregators may name: the rest is of runs, which are not joined."""


def has_columns(type_name: str) -> bool:
    """Whether the type's attributes are columns here."""
    return type_name in _COLUMNS


def node_page(
    tx: Tx, scope: Scope, conditions: Sequence[InventoryCondition], *, having: str, after: str, limit: int
) -> list[NodeId]:
    """Registered nodes that fulfil all conditions and have the type `having`, in id order, those behind `after`."""
    statement = _nodes(tx, scope, conditions, select(_n.id)).where(_has(scope, having), _n.id > after)
    return [NodeId(r.id) for r in tx.execute(statement.order_by(_n.id).limit(limit))]


def counts(
    tx: Tx, scope: Scope, conditions: Sequence[InventoryCondition], keys: Sequence[tuple[str, str]]
) -> list[tuple[tuple[str, ...], int]]:
    """How many nodes have which combination of values under `keys` (type, attribute), the largest number first.

    Several attributes of one type are those of one row. At most one type among `keys` may be one with rows.
    """
    columns = [cast(_COLUMNS[t][a], String).label(f"k{i}") for i, (t, a) in enumerate(keys) if has_columns(t)]
    stored = next((t for t, _ in keys if not has_columns(t)), None)
    item = inventory_item.alias("counted")
    set_id = item.c.set_id if stored else literal(0, Integer)
    source: Any = node.outerjoin(verdict, verdict.c.node_id == _n.id)
    if stored:
        source = source.join(item, and_(item.c.node_id == _n.id, item.c.type_name == stored))
    each = _nodes(tx, scope, conditions, select(set_id.label("set_id"), *columns).select_from(source), joined=True)
    each = each.where(*(_has(scope, t) for t, _ in keys if has_columns(t))).subquery("each")
    alike = select(*each.c, func.count().label("n")).group_by(*each.c)
    found: Counter[tuple[str, ...]] = Counter()
    if stored is None:
        for r in tx.execute(alike):
            found[tuple(map(str, r[1:-1]))] += r.n
    else:
        nodes = [(r[0], tuple(map(str, r[1:-1])), int(r[-1])) for r in tx.execute(alike)]
        _count_rows(tx, keys, nodes, found)
    return sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))


def _count_rows(
    tx: Tx,
    keys: Sequence[tuple[str, str]],
    nodes: Sequence[tuple[int, tuple[str, ...], int]],
    found: Counter[tuple[str, ...]],
) -> None:
    """Add up what the rows of sets have, for (set, values of the columns, number of nodes).

    Here and not by a join: each distinct row is looked at once, and a set is a list of numbers.
    """
    of_rows = _combinations(tx, [f"{t}.{a}" for t, a in keys if not has_columns(t)])
    by_set: dict[int, list[tuple[tuple[str, ...], int]]] = {}
    for set_id, values, n in nodes:
        by_set.setdefault(set_id, []).append((values, n))
    sums: dict[tuple[str, ...], Counter[tuple[str, ...]]] = {values: Counter() for _, values, _ in nodes}
    for set_id, row_ids in row_ids_of(tx, list(by_set)):
        has = {of_rows[i] for i in row_ids if i in of_rows}
        for values, n in by_set[set_id]:
            mine = sums[values]
            for one in has:
                mine[one] += n
    for values, mine in sums.items():
        for one, n in mine.items():
            column, row = iter(values), iter(one)
            found[tuple(next(column if has_columns(t) else row) for t, _ in keys)] += n


def _combinations(tx: Tx, keys: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """row -> its values under `keys`, for the rows that have them all."""
    first = inventory_value.alias("value0")
    source: Any = first
    columns: list[Any] = [first.c.value]
    for i, key in enumerate(keys[1:], 1):
        value = inventory_value.alias(f"value{i}")
        source = source.join(value, and_(value.c.row_id == first.c.row_id, value.c.key == key))
        columns.append(value.c.value)
    statement = select(first.c.row_id, *columns).select_from(source).where(first.c.key == keys[0])
    return {r[0]: tuple(r[1:]) for r in tx.execute(statement)}


def count(tx: Tx, scope: Scope, conditions: Sequence[InventoryCondition]) -> int:
    """How many registered nodes fulfil all conditions."""
    return int(tx.execute(_nodes(tx, scope, conditions, select(func.count(_n.id)))).scalar_one())


def _nodes(
    tx: Tx, scope: Scope, conditions: Sequence[InventoryCondition], statement: Any, *, joined: bool = False
) -> Any:
    if not joined:
        statement = statement.select_from(node.outerjoin(verdict, verdict.c.node_id == _n.id))
    mine = (_n.account == scope.account, _n.region == scope.region, _n.deregistered_at.is_(None))
    ordered = sorted(conditions, key=lambda c: c.type_name)
    tests = [
        _of_type(tx, scope, type_name, list(of_one))
        for type_name, of_one in groupby(ordered, key=lambda c: c.type_name)
    ]
    return statement.where(*mine, *tests)


def _has(scope: Scope, type_name: str) -> ColumnElement[bool]:
    if type_name == INSTANCE_INFORMATION:
        return _n.id.is_not(None)
    if has_columns(type_name):
        return and_(_v.node_id.is_not(None), _JUDGED)
    return _n.id.in_(_holders(scope, type_name))


def _holders(scope: Scope, type_name: str) -> Any:
    c = inventory_item.c
    return select(c.node_id).where(c.account == scope.account, c.region == scope.region, c.type_name == type_name)


def _of_type(tx: Tx, scope: Scope, type_name: str, conditions: Collection[InventoryCondition]) -> ColumnElement[bool]:
    """The conditions on one type together.

    Those on a type with rows speak of one and the same row. NOT_EQUAL alone means that no row has such a value; beside
    another condition it is about that row too, so that `Name Equal x` with `Version NotEqual y` finds the x that are
    not y.
    """
    tests = [c for c in conditions if c.operator is not InventoryOperator.EXISTS]
    present = _has(scope, type_name)
    if has_columns(type_name):
        return and_(present, *(_compare(tx, c, _column(c), _column(c)) for c in tests))
    if not tests:
        return present
    if all(c.operator is InventoryOperator.NOT_EQUAL for c in tests):
        return and_(present, *(not_(_n.id.in_(_with_row(tx, scope, type_name, [_positive(c)]))) for c in tests))
    return _n.id.in_(_with_row(tx, scope, type_name, tests))


def _positive(condition: InventoryCondition) -> InventoryCondition:
    return InventoryCondition(
        type_name=condition.type_name,
        attribute=condition.attribute,
        operator=InventoryOperator.EQUAL,
        values=condition.values,
    )


def _with_row(tx: Tx, scope: Scope, type_name: str, tests: Sequence[InventoryCondition]) -> Any:
    """The nodes that have a row which passes all tests. Rows first: what is asked for is mostly rare."""
    member = inventory_member.c
    rows = [_rows(tx, test) for test in tests if test.operator is not InventoryOperator.NOT_EQUAL]
    others = [_rows(tx, _positive(test)) for test in tests if test.operator is InventoryOperator.NOT_EQUAL]
    sets = select(member.set_id).where(
        *(member.row_id.in_(some) for some in rows), *(member.row_id.not_in(some) for some in others)
    )
    return _holders(scope, type_name).where(inventory_item.c.set_id.in_(sets))


def _rows(tx: Tx, test: InventoryCondition) -> Any:
    value = inventory_value.c
    return select(value.row_id).where(value.key == test.key, _compare(tx, test, value.value, value.number))


def _column(condition: InventoryCondition) -> ColumnElement[Any]:
    return _COLUMNS[condition.type_name][condition.attribute]


def _compare(
    tx: Tx, condition: InventoryCondition, text: ColumnElement[Any], number: ColumnElement[Any]
) -> ColumnElement[bool]:
    """A condition as SQL; it means what `core.inventory.holds` says of one row."""
    values = [seen(value) for value in condition.values]
    if condition.numeric:
        numbers = [n for n in map(number_of, values) if n is not None]
        if condition.operator is InventoryOperator.LESS_THAN:
            return or_(false(), *(number < n for n in numbers))
        return or_(false(), *(number > n for n in numbers))
    shown = cast(text, String) if not isinstance(text.type, String) else text
    match condition.operator:
        case InventoryOperator.EQUAL:
            return shown.in_(values)
        case InventoryOperator.NOT_EQUAL:
            return shown.not_in(values)
        case InventoryOperator.BEGIN_WITH:
            return or_(*(func.substr(shown, 1, len(v)) == v for v in values))
        case InventoryOperator.LESS_THAN:
            return or_(*(by_code_point(tx, shown) < v for v in values))
        case _:
            return or_(*(by_code_point(tx, shown) > v for v in values))
