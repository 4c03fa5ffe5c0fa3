"""A report -> stored facts, interned, and the node due for judging."""

from array import array
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from patchwright.core.errors import Invalid, Kind
from patchwright.core.facts import HostState
from patchwright.core.nodes import ManagedNode, operating_system_of, product_of
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family, OperatingSystem
from patchwright.flows.facts_document import NOTICES, Part, Report, check_parts, read_report, read_state
from patchwright.flows.facts_rows import PackageKey
from patchwright.flows.judge_fleet import Cause, mark_account_due, mark_due
from patchwright.flows.ports import Ids
from patchwright.store import available, facts, first_seen, nodes
from patchwright.store.engine import Tx
from patchwright.store.tables import instset, upset

_TOGETHER = {
    "installed": ("times", "upgradable", NOTICES),
    "times": ("installed", NOTICES),
    "upgradable": (NOTICES,),
}
"""A part that speaks of another's rows must come with it. The server keeps sets, not the order of a report's rows,
so that times alone would have nothing to be aligned with."""
_SAYS_THE_FAMILY = {"state", "installed", "upgradable"}
"""Parts after which it does not matter of which family the last facts were."""
_MAX_OFFSET = 2**31 - 1
MAX_PRODUCT = 128


def read_sent(
    tx: Tx, node: ManagedNode, facts_version: int, digest: str, collected_at: datetime, parts: list[Part]
) -> tuple[list[str], Report | None]:
    """The parts that the server still needs and no report, or no parts and the report, read and checked.

    What the node reported before is looked up only where a part was left out. Raises Invalid(REPORT).
    """
    check_parts(facts_version, digest, parts)
    sent = {p.name for p in parts if p.body is not None}
    if len(sent) < len(parts):
        needed = needed_parts(tx, node, parts)
        if set(needed) - sent:
            return needed, None
    before = None if not sent or sent >= _SAYS_THE_FAMILY else family_of(tx, node)
    return [], read_report(facts_version, digest, collected_at, parts, before)


def family_of(tx: Tx, node: ManagedNode) -> Family | None:
    """The family of the node's package manager, as its last facts said."""
    record = facts.current(tx, node.id)
    if record is None:
        return None
    state = read_state(facts.state_body(tx, record.state))
    return {"apt": Family.APT, "dnf": Family.DNF, "yum": Family.YUM, "zypper": Family.ZYPPER}.get(state.manager)


def needed_parts(tx: Tx, node: ManagedNode, parts: list[Part]) -> list[str]:
    """Which parts the server does not hold for this node; [] when the report is all known."""
    record = facts.current(tx, node.id)
    announced = {p.name for p in parts}
    if record is None:
        return sorted(announced)
    changed = {p.name for p in parts if record.parts.get(p.name) != p.digest}
    changed |= {name for part, others in _TOGETHER.items() if part in changed for name in others}
    return sorted(changed & announced)


def accept_facts(tx: Tx, node: ManagedNode, report: Report, now: datetime, ids: Ids) -> bool:
    """Keep a checked report. Returns whether anything changed; the node's last good facts stay until then.

    Raises Invalid(REPORT) when a part is missing that the server does not hold.
    """
    facts.seen(tx, node.id, now)
    record = facts.current(tx, node.id)
    offset = max(-_MAX_OFFSET, min(_MAX_OFFSET, round((report.collected_at - now).total_seconds())))
    if record is not None and record.report_digest == report.digest:
        nodes.set_system(tx, node, node.operating_system, offset)
        return False
    values = _unchanged(record, report)
    if report.state is not None and report.state_body is not None:
        facts.intern_state(tx, report.part_digests["state"], report.state_body)
        values["state"] = report.part_digests["state"]
    state = report.state or read_state(facts.state_body(tx, values["state"]))
    released = {s.repository.identity: s.released_at for s in state.sources}
    installed = _store_installed(tx, report, values) if report.installed is not None else ()
    offers: list[PackageVersion] = []
    if report.lines is not None and report.installed is not None:
        offers = _store_lines(tx, report, report.installed, values)
    elif report.lines is not None and record is not None:
        mine = {(p.package.name, p.package.arch, p.package.version): p.package for p in facts.installed(tx, record)}
        offers = _store_lines(tx, report, mine, values)
    # Only apt's own metadata have no dates.
    undated = [*installed, *offers] if state.manager == "apt" else []
    if first_seen.record(tx, node.scope.account, undated, released, now):
        # An older mirror has shown that something was published earlier: others may not have to wait for it any more.
        mark_account_due(tx, node.scope.account, cause=Cause.CATALOGUE, now=now, ids=ids)
    facts.replace(
        tx,
        node.id,
        now,
        facts_version=report.facts_version,
        report_digest=report.digest,
        parts=report.part_digests,
        **values,
    )
    system = _system(state, report, node)
    nodes.set_system(tx, node, system, offset)
    if system is not None:
        available.note(tx, node.scope, system, product_of(system, state.os_version)[:MAX_PRODUCT], offers, now)
    mark_due(tx, node.scope, node_ids=[node.id], cause="facts", now=now, ids=ids)
    return True


def _system(state: HostState, report: Report, node: ManagedNode) -> OperatingSystem | None:
    return operating_system_of(state.os_id, state.os_version, report.id_like) or node.operating_system


def _unchanged(record: facts.FactsRecord | None, report: Report) -> dict[str, Any]:
    """The columns that carry over. A part that was neither sent nor held is an error of the caller."""
    sent: dict[str, object] = {
        "state": report.state,
        "installed": report.installed,
        "upgradable": report.lines,
        "times": report.times,
    }
    if NOTICES in report.part_digests:
        sent[NOTICES] = report.has_notices or None
    absent = [
        name
        for name, value in sent.items()
        if value is None and (record is None or record.parts.get(name) != report.part_digests[name])
    ]
    if absent:
        raise Invalid(
            Kind.REPORT, f"The server does not hold part {absent[0]} of this report: send it. Nothing was changed."
        )
    if record is None:
        return {}
    return {"state": record.state, "instset": record.instset, "upset": record.upset, "times": record.times}


def _store_installed(tx: Tx, report: Report, values: dict[str, Any]) -> tuple[PackageVersion, ...]:
    packages = tuple(report.installed.values()) if report.installed else ()
    times = report.times or ()
    if len(times) != len(packages):
        raise Invalid(
            Kind.REPORT, "The parts times and installed differ in length. The node's last good facts were kept."
        )
    ids = (facts.intern_remembered if report.is_remembered else facts.intern_versions)(tx, packages)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    values["instset"] = facts.intern_set(tx, instset, [ids[place] for place in order])
    values["times"] = array("i", [times[place] for place in order]).tobytes()
    return packages


def _store_lines(
    tx: Tx, report: Report, installed: Mapping[PackageKey, PackageVersion], values: dict[str, Any]
) -> list[PackageVersion]:
    lines = report.lines or ()
    offers = [o for line in lines for o in line.offers]
    rows = []
    for line in lines:
        package = installed.get(line.installed)
        if package is None:
            raise Invalid(
                Kind.REPORT,
                f"{line.name} is listed as upgradable but not as installed. The node's last good facts were kept.",
            )
        rows.append((package, line))
    intern = facts.intern_remembered_lines if report.is_remembered else facts.intern_reported
    values["upset"] = facts.intern_set(tx, upset, intern(tx, rows))
    return offers
