"""The Plan as the server settles it: exact items, checked. Pure. Source: docs/reference/worker-protocol.md."""

import hashlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import text
from patchwright_agent.managers.installer import Change, Simulation, Target

ROLE_TARGET, ROLE_DEPENDENCY = "target", "dependency"
DEFAULT_LIFETIME_SECONDS = 900
MAX_ITEMS = 20000


class UnusablePlan(Exception):
    """A Plan that can't be taken at its word; the message says why. Nothing is changed for it."""


class Plan(NamedTuple):
    """An immutable Plan. `items` in the server's order, `roles` beside them; `wire` is what the server sent.

    `lifetime_seconds` is what was left of its life when the server sent it.
    """

    digest: str
    items: Tuple[Change, ...]
    roles: Tuple[str, ...]
    lifetime_seconds: float
    wire: Mapping[str, Any]

    @property
    def targets(self) -> Tuple[Target, ...]:
        return tuple(Target(*item) for item, role in zip(self.items, self.roles) if role == ROLE_TARGET)


def parse_plan(wire: Any) -> Plan:
    """Check a Plan. Raises UnusablePlan, where its digest is not that of its items above all."""
    if not isinstance(wire, dict) or not isinstance(wire.get("Items"), list) or len(wire["Items"]) > MAX_ITEMS:
        raise UnusablePlan("the server's Plan has no list of items")
    items, roles = [], []
    for entry in wire["Items"]:
        values = _texts(entry, ("Name", "Arch", "FromVersion", "ToVersion", "Role"))
        items.append(Change(*values[:4]))
        roles.append(values[4])
    if set(roles) - {ROLE_TARGET, ROLE_DEPENDENCY}:
        raise UnusablePlan("an item of the server's Plan has a role that this agent does not know")
    digest = plan_digest(items, roles)
    if wire.get("Digest") != digest:
        raise UnusablePlan("the digest of the server's Plan is not that of its items")
    lifetime = wire.get("LifetimeSeconds")
    seconds = float(lifetime) if isinstance(lifetime, (int, float)) else float(DEFAULT_LIFETIME_SECONDS)
    return Plan(digest, tuple(items), tuple(roles), seconds, wire)


def plan_digest(items: Sequence[Change], roles: Sequence[str]) -> str:
    """SHA-256 (hex) of the items' lines `name TAB arch TAB from TAB to TAB role`, sorted, each ended by a line feed."""
    lines = sorted("\t".join((*item, role)) + "\n" for item, role in zip(items, roles))
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def parse_targets(wire: Any) -> Tuple[Target, ...]:
    """The targets of a question, in its order. Raises UnusablePlan."""
    if not isinstance(wire, list) or len(wire) > MAX_ITEMS:
        raise UnusablePlan("the server's question has no list of targets")
    return tuple(Target(*_texts(entry, ("Name", "Arch", "FromVersion", "Version"))) for entry in wire)


def _texts(entry: Any, names: Sequence[str]) -> List[str]:
    values = [entry.get(name, "") for name in names] if isinstance(entry, dict) else []
    if not values or not all(isinstance(value, str) for value in values) or not (values[0] and values[1] and values[3]):
        raise UnusablePlan("an item of the server's Plan is not complete")
    if any("\t" in value or "\n" in value for value in values):
        raise UnusablePlan("an item of the server's Plan holds a tab or a line break")
    return values


def difference(plan: Plan, simulation: Simulation) -> str:
    """In what a simulation of the Plan's targets differs from its items, "" if in nothing."""
    if simulation.problem:
        return simulation.problem
    if simulation.removed:
        return "%s would be removed" % simulation.removed[0][0]
    planned, found = set(plan.items), set(simulation.changes)
    for change in sorted(found - planned):
        return "%s %s would come in" % (text.field(change.name, 100), text.field(change.version, 100))
    for item in sorted(planned - found):
        return "%s %s would not come in" % (text.field(item.name, 100), text.field(item.version, 100))
    return ""


def closure(target: Optional[Target], simulation: Simulation) -> Dict[str, Any]:
    """What a simulation brings with it, as the server is told; without a target the closure is a joint one."""
    own = None if target is None else (target.name, target.arch, target.version)
    told: Dict[str, Any] = {
        "Incoming": [
            {"Name": c.name, "Arch": c.arch, "FromVersion": c.from_version, "Version": c.version}
            for c in simulation.changes
            if (c.name, c.arch, c.version) != own
        ],
        "Removed": [{"Name": name, "Arch": arch} for name, arch in simulation.removed],
        "Problem": simulation.problem,
    }
    if target is not None:
        told.update(Name=target.name, Arch=target.arch, Version=target.version)
    return told
