"""GetPatchPlan: what an Install would change on a node, or has changed, and what it leaves out. Our own operation."""

from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.patch_states import wire_baseline_id
from patchwright.api.registry import registry
from patchwright.core.errors import Kind, NotFound
from patchwright.core.exit_codes import shown_code
from patchwright.core.failures import dropped_words, read_kept
from patchwright.core.plan import LIFETIME, Plan
from patchwright.core.values import BaselineId, PatchOperation
from patchwright.flows.plan_record import read_basis, read_plan
from patchwright.flows.plan_view import reboot_of
from patchwright.store import nodes, runs
from patchwright.store.runs import PatchRun


@registry.serves("GetPatchPlan", service="patchwright", reads=True)
def get_patch_plan(ctx: Context, req: Request) -> Answer:
    """The Plan of the command named, else the node's latest one. A run without a Plan yet is SETTLING."""
    node = nodes.get(ctx.tx, ctx.scope, req["NodeId"])
    require_node(ctx, node.id)
    command_id = req.get("CommandId")
    run = runs.latest_plan(ctx.tx, node.id) if command_id is None else runs.of_command(ctx.tx, node.id, command_id)
    if run is None:
        which = f"Command {command_id} has started no patch run" if command_id else "No Plan was ever settled"
        raise NotFound(Kind.RUN, f"{which} on node {node.id}.", id=node.id)
    return _plan_to(ctx, run)


def _plan_to(ctx: Context, run: PatchRun) -> dict[str, Any]:
    plan = read_plan(run.plan) if run.plan is not None else None
    ended = run.ended_at is not None
    reboot = reboot_of(ctx.tx, run, plan)
    return {
        "RunId": run.id,
        "CommandId": run.command_id,
        "NodeId": run.node_id,
        "Operation": run.operation,
        "PlanOnly": run.plan_only,
        "Status": "FINISHED" if ended else ("SETTLING" if plan is None else "SETTLED"),
        "BaselineId": _baseline_of(ctx, run),
        "Items": _items_to(plan) if plan else [],
        "Dropped": _dropped_to(plan) if plan else [],
        "Installed": _installed_to(run),
        "Failed": _failed_to(run, plan),
        "RebootOption": run.reboot_option,
        "Reboots": reboot.reboot,
        "RebootReason": reboot.reason,
        "PlanDigest": run.plan_digest,
        "SettledAt": run.planned_at,
        "ExpiresAt": run.planned_at + LIFETIME if run.planned_at else None,
        "ExitCode": None if run.exit_code is None else shown_code(run.exit_code),
        "Message": run.message or None,
    }


def _baseline_of(ctx: Context, run: PatchRun) -> str | None:
    made = run.plan or run.draft
    if made is None:
        return None
    return wire_baseline_id(BaselineId(read_basis(made).baseline_id), ctx.scope.region)


def _items_to(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "Name": item.slot.name,
            "Arch": item.slot.arch,
            "FromVersion": item.from_version,
            "ToVersion": item.to_version,
            "Role": item.role,
        }
        for item in plan.items
    ]


def _is_over(run: PatchRun) -> bool:
    """Whether it is an Install with a result. A node that waits for its reboot has one."""
    return run.ended_at is not None and not run.plan_only and run.operation is PatchOperation.INSTALL


def _installed_to(run: PatchRun) -> list[dict[str, Any]] | None:
    """What the run brought, as it was found then; None for one that installs nothing or is not over."""
    if not _is_over(run):
        return None
    names = ("Name", "Arch", "FromVersion", "ToVersion", "Role")
    return [dict(zip(names, row, strict=True)) for row in (run.result or {}).get("installed", ())]


def _failed_to(run: PatchRun, plan: Plan | None) -> list[dict[str, Any]] | None:
    """What did not go in, with the reason that was kept; the targets that the Plan left out are not among them."""
    if not _is_over(run):
        return None
    left_out = {(drop.slot.name, drop.slot.arch, drop.version) for drop in plan.dropped} if plan else set()
    rows = [row for row in (run.result or {}).get("failed", ()) if tuple(row[:3]) not in left_out]
    return [_failure_to(name, arch, version, text) for name, arch, version, text in rows]


def _failure_to(name: str, arch: str, version: str, text: str) -> dict[str, Any]:
    failure = read_kept(text)
    return {"Name": name, "Arch": arch, "Version": version, "Code": failure.code or None, "Reason": failure.words}


def _dropped_to(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "Name": drop.slot.name,
            "Arch": drop.slot.arch,
            "Version": drop.version,
            "Code": drop.code,
            "BecauseOf": drop.because_of,
            "Reason": f"{drop.slot.patch_id} {drop.version} is left out: {dropped_words(drop)}.",
        }
        for drop in plan.dropped
    ]
