"""What `up` found on this machine: one JSON object, or tables."""

from typing import Any

from patchwright.cli.output import as_text, table

COLUMNS = ("MISSING", "INSTALLED", "TARGET", "SEVERITY", "CVES", "WHY")
FAILURES = frozenset({"MANAGER_FAILED", "SOURCES_BROKEN", "PACKAGES_BROKEN", "DPKG_INTERRUPTED"})
"""Problems under which the package manager can't be relied on; others are shown beside a result that holds."""

LOCKED = "LOCKED"


def failure_of(node: dict[str, Any]) -> str | None:
    """Why the scan of DescribeNodePatches' answer `node` is no result, or None."""
    problems = node.get("Problems", ())
    broken = [str(p.get("Message", "")) for p in problems if p.get("Code") in FAILURES]
    held = [str(p.get("Message", "")) for p in problems if p.get("Code") == LOCKED]
    if broken and held:
        # What looks broken in the midst of an installation may be whole after it.
        return f"the package manager is in use: {held[0]}. Run this again when that has ended"
    if broken:
        return "the package manager does not work: " + broken[0]
    if node.get("Compliance") == "UNJUDGED":
        return f"no judgement: {node.get('UnjudgedReason', 'no reason given')}"
    return None


def as_json(node: dict[str, Any], status: str) -> dict[str, Any]:
    """The object of `--once --json`. `status` is the scan's, an invocation's. Source: product.md, the contract."""
    return {
        "node": {"id": node["NodeId"], "name": node.get("Name")},
        "baseline": _snake(node.get("Baseline", {})),
        "status": status,
        "compliance": node.get("Compliance"),
        "unjudged_reason": node.get("UnjudgedReason"),
        "counts": _snake(node.get("Counts", {})),
        "offered": [
            {"name": u["Name"], "arch": u["Arch"], "installed": u.get("Installed"), "candidate": u["Candidate"],
             "held": u.get("Held", False)}
            for u in node.get("Offered", ())
            # Without a candidate the manager itself would keep what is installed: newer versions are only beside it.
            if u.get("Candidate")
        ],
        "missing": [
            {"name": p["Name"], "arch": p["Arch"], "installed": p.get("Installed"), "target": p.get("Target"),
             "severity": p.get("Severity"), "classification": p.get("Classification"), "cves": p.get("Cves", []),
             "code": p.get("Code"), "reason": p.get("Reason")}
            for p in node.get("Missing", ())
        ],
        "problems": [_snake(p) for p in node.get("Problems", ())],
        "reboot": _snake(node.get("Reboot", {})),
        "collected_at": node.get("FactsCollectedAt"),
    }  # fmt: skip


def _snake(structure: dict[str, Any]) -> dict[str, Any]:
    """Members under names such as `pending_approval`."""
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in k).lstrip("_"): v for k, v in structure.items()}


def as_tables(node: dict[str, Any]) -> str:
    """For people: what is missing and why, then the counts."""
    counts, baseline = node.get("Counts", {}), node.get("Baseline", {})
    offered = [u for u in node.get("Offered", ()) if u.get("Candidate")]
    missing = node.get("Missing", ())
    lines = []
    if missing:
        lines.append(table(COLUMNS, [_row(p) for p in missing]))
    lines.append(f"node        {as_text(node.get('Name'))} ({node['NodeId']})\n")
    lines.append(f"baseline    {as_text(baseline.get('Name'))} ({as_text(baseline.get('BaselineId'))})\n")
    lines.append(f"compliance  {as_text(node.get('Compliance'))}\n")
    lines.append(
        f"updates     {len(offered)} offered by the package manager; {len(missing)} of all newer versions approved and "
        f"missing; {counts.get('PendingApproval', 0)} waiting for approval\n"
    )
    installed, others = counts.get("Installed", 0), counts.get("InstalledOther", 0)
    lines.append(f"packages    {installed} installed patches, {others} others\n")
    if node.get("Reboot", {}).get("Required"):
        lines.append(f"reboot      wanted: {as_text(node['Reboot'].get('Evidence'))}\n")
    return "".join(lines)


def problems_text(node: dict[str, Any]) -> str:
    """Every problem with the command that repairs it."""
    lines = []
    for problem in node.get("Problems", ()):
        lines.append(f"problem: {as_text(problem.get('Code'))}: {as_text(problem.get('Message'))}\n")
        if problem.get("Remedy"):
            lines.append(f"  remedy: {as_text(problem['Remedy'])}\n")
    return "".join(lines)


def _row(patch: dict[str, Any]) -> list[Any]:
    reason = str(patch.get("Reason", ""))
    # The sentence begins with what the row's first columns say already.
    begin = f"{patch.get('PatchId')} {patch.get('Installed')} -> {patch.get('Target')} is missing: "
    return [
        f"{patch['Name']}.{patch['Arch']}", patch.get("Installed"), patch.get("Target"), patch.get("Severity"),
        patch.get("Cves"), reason.removeprefix(begin),
    ]  # fmt: skip
