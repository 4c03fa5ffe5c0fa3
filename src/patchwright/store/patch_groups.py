"""Which baseline each patch group has per operating system, and which one is a system's default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, bindparam, select

from patchwright.core.values import BaselineId, OperatingSystem, Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import default_baseline, patch_group
from patchwright.store.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMapping:
    """A patch group's baseline for one operating system; AWS's PatchGroupPatchBaselineMapping."""

    patch_group: str
    operating_system: OperatingSystem
    baseline_id: BaselineId


def register(tx: Tx, scope: Scope, mapping: GroupMapping) -> None:
    """Add the mapping. The schema refuses a second one for the same group and system."""
    tx.execute(
        patch_group.insert().values(
            account=scope.account,
            region=scope.region,
            patch_group=mapping.patch_group,
            operating_system=mapping.operating_system,
            baseline_id=mapping.baseline_id,
        )
    )


def deregister(tx: Tx, scope: Scope, group: str, baseline_id: BaselineId) -> bool:
    """Remove the group's mapping to this very baseline. False when there was none."""
    done = tx.execute(
        patch_group.delete().where(
            _here(scope), patch_group.c.patch_group == group, patch_group.c.baseline_id == baseline_id
        )
    )
    return done.rowcount > 0


def find(tx: Tx, scope: Scope, group: str, operating_system: OperatingSystem) -> BaselineId | None:
    """The baseline registered for the group on this system, or None."""
    found = tx.execute(
        _FIND,
        {"account": scope.account, "region": scope.region, "patch_group": group, "operating_system": operating_system},
    ).scalar_one_or_none()
    return None if found is None else BaselineId(found)


def of_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId) -> tuple[str, ...]:
    """The groups registered with a baseline, in order."""
    rows = tx.execute(
        _OF_BASELINE, {"account": scope.account, "region": scope.region, "baseline_id": baseline_id}
    ).scalars()
    return tuple(sorted(rows))  # by code point: the engines' own orders differ


def all_of(tx: Tx, scope: Scope) -> Sequence[GroupMapping]:
    """Every mapping of the scope by (group, system); quotas keep them below two thousand."""
    rows = tx.execute(
        select(patch_group.c.patch_group, patch_group.c.operating_system, patch_group.c.baseline_id).where(_here(scope))
    )
    mappings = [
        GroupMapping(
            patch_group=row.patch_group,
            operating_system=OperatingSystem(row.operating_system),
            baseline_id=BaselineId(row.baseline_id),
        )
        for row in rows
    ]
    return sorted(mappings, key=lambda m: (m.patch_group, m.operating_system))


def set_default(tx: Tx, scope: Scope, operating_system: OperatingSystem, baseline_id: BaselineId) -> None:
    """Make a baseline the system's default."""
    row = {
        "account": scope.account,
        "region": scope.region,
        "operating_system": operating_system,
        "baseline_id": baseline_id,
    }
    upsert(tx, default_baseline, [row], key=("account", "region", "operating_system"))


def defaults_of(tx: Tx, scope: Scope) -> Mapping[OperatingSystem, BaselineId]:
    """The defaults that were registered; a system that is absent has its predefined one."""
    rows = tx.execute(_DEFAULTS, {"account": scope.account, "region": scope.region})
    return {OperatingSystem(row.operating_system): BaselineId(row.baseline_id) for row in rows}


def _here(scope: Scope) -> ColumnElement[bool]:
    return and_(patch_group.c.account == scope.account, patch_group.c.region == scope.region)


def _given(table: Table, *columns: str) -> list[ColumnElement[bool]]:
    return [table.c[name] == bindparam(name) for name in ("account", "region", *columns)]


_FIND = select(patch_group.c.baseline_id).where(*_given(patch_group, "patch_group", "operating_system"))
_OF_BASELINE = select(patch_group.c.patch_group).where(*_given(patch_group, "baseline_id"))
_DEFAULTS = select(default_baseline.c.operating_system, default_baseline.c.baseline_id).where(*_given(default_baseline))
