"""Plans and Plans in the making as JSON values, as a patch run keeps them."""

from dataclasses import dataclass
from typing import Any

from patchwright.core.plan import DropCode, DroppedTarget, ItemRole, Plan, PlanItem, Target
from patchwright.core.settle import Mode, Settling
from patchwright.core.values import RebootOption, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a Plan was made from: the node's facts, and the baseline with its version (0: predefined)."""

    facts_digest: str
    baseline_id: str
    baseline_version: int


def plan_record(plan: Plan, basis: Basis) -> dict[str, Any]:
    """The Plan with what it was made from."""
    return {
        "basis": _basis_record(basis),
        "items": [[i.slot.name, i.slot.arch, i.from_version, i.to_version, i.role] for i in plan.items],
        "dropped": _dropped_record(plan.dropped),
        "reboot_option": plan.reboot_option,
    }


def read_plan(record: dict[str, Any]) -> Plan:
    return Plan(
        items=tuple(
            PlanItem(slot=Slot(name=name, arch=arch), from_version=before, to_version=after, role=ItemRole(role))
            for name, arch, before, after, role in record["items"]
        ),
        dropped=_read_dropped(record["dropped"]),
        reboot_option=RebootOption(record["reboot_option"]),
    )


def read_basis(record: dict[str, Any]) -> Basis:
    """Of a plan's or of a draft's record."""
    facts_digest, baseline_id, version = record["basis"]
    return Basis(facts_digest=facts_digest, baseline_id=baseline_id, baseline_version=version)


def draft_record(settling: Settling | None, basis: Basis, last: str) -> dict[str, Any]:
    """The standing question, and the digest of the request that it answers; no question once the Plan is settled."""
    return {
        "basis": _basis_record(basis),
        "last": last,
        "settling": None if settling is None else _settling_record(settling),
    }


def read_settling(record: dict[str, Any] | None) -> Settling | None:
    """The standing question of a draft's record, if there is one."""
    found = None if record is None else record["settling"]
    if found is None:
        return None
    targets = _read_targets(found["targets"])
    return Settling(
        targets=targets,
        mode=Mode(found["mode"]),
        asked=found["asked"],
        rest=tuple(targets[index] for index in found["rest"]),
        dropped=_read_dropped(found["dropped"]),
    )


def _settling_record(settling: Settling) -> dict[str, Any]:
    place = {target.slot: index for index, target in enumerate(settling.targets)}
    return {
        "mode": settling.mode,
        "asked": settling.asked,
        "targets": [[t.slot.name, t.slot.arch, t.from_version, t.version] for t in settling.targets],
        "rest": [place[target.slot] for target in settling.rest],
        "dropped": _dropped_record(settling.dropped),
    }


def _basis_record(basis: Basis) -> list[Any]:
    return [basis.facts_digest, basis.baseline_id, basis.baseline_version]


def _read_targets(rows: list[list[str]]) -> tuple[Target, ...]:
    return tuple(
        Target(slot=Slot(name=name, arch=arch), from_version=before, version=version)
        for name, arch, before, version in rows
    )


def _dropped_record(dropped: tuple[DroppedTarget, ...]) -> list[list[str]]:
    return [[d.slot.name, d.slot.arch, d.version, d.code, d.because_of] for d in dropped]


def _read_dropped(rows: list[list[str]]) -> tuple[DroppedTarget, ...]:
    return tuple(
        DroppedTarget(slot=Slot(name=name, arch=arch), version=version, code=DropCode(code), because_of=because)
        for name, arch, version, code, because in rows
    )
