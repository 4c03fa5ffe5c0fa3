"""Patch groups: which baseline they have. Source: patch-baselines.md 2.3."""

from typing import Any

from patchwright.api.baseline_ids import authorized, baseline_id_to, require_baseline
from patchwright.api.baseline_shapes import identity_to
from patchwright.api.context import Answer, Context, Request
from patchwright.api.orchestrator_filters import matches, orchestrator_filters
from patchwright.api.registry import registry
from patchwright.core.values import OperatingSystem
from patchwright.flows import change_patch_group
from patchwright.flows.find_baseline import all_baselines, baseline_of_group
from patchwright.store import patch_groups
from patchwright.store.patch_groups import GroupMapping

MAX_PAGE = 100
FILTER_KEYS = ("NAME_PREFIX", "OPERATING_SYSTEM")


@registry.serves("RegisterPatchBaselineForPatchGroup")
def register_patch_baseline_for_patch_group(ctx: Context, req: Request) -> Answer:
    """Both members come back as they were sent: Terraform compares."""
    baseline_id = authorized(ctx, req["BaselineId"])
    change_patch_group.register_group(ctx.tx, ctx.scope, req["PatchGroup"], baseline_id, now=ctx.now, ids=ctx.ids)
    return {"BaselineId": req["BaselineId"], "PatchGroup": req["PatchGroup"]}


@registry.serves("DeregisterPatchBaselineForPatchGroup")
def deregister_patch_baseline_for_patch_group(ctx: Context, req: Request) -> Answer:
    baseline_id = authorized(ctx, req["BaselineId"])
    change_patch_group.deregister_group(ctx.tx, ctx.scope, req["PatchGroup"], baseline_id, now=ctx.now, ids=ctx.ids)
    return {"BaselineId": req["BaselineId"], "PatchGroup": req["PatchGroup"]}


@registry.serves("GetPatchBaselineForPatchGroup", reads=True, short=True)
def get_patch_baseline_for_patch_group(ctx: Context, req: Request) -> Answer:
    """The group's baseline for a system, else the system's default."""
    system = OperatingSystem(req.get("OperatingSystem", OperatingSystem.WINDOWS))
    baseline_id = baseline_of_group(ctx.tx, ctx.scope, req["PatchGroup"], system)
    require_baseline(ctx, baseline_id)
    return {
        "BaselineId": baseline_id_to(ctx, baseline_id),
        "PatchGroup": req["PatchGroup"],
        "OperatingSystem": system.value,
    }


@registry.serves("DescribePatchGroups", reads=True)
def describe_patch_groups(ctx: Context, req: Request) -> Answer:
    """One row for each group and system that is registered, in that order. Source: patch-baselines.md 8."""
    ctx.require(ctx.arn("patchbaseline/*"))
    filters = orchestrator_filters(req.get("Filters"), FILTER_KEYS)
    found = [m for m in patch_groups.all_of(ctx.tx, ctx.scope) if _fits(m, filters)]
    cursor = ctx.cursor(req)
    if cursor is not None:
        found = [m for m in found if _place(m) > cursor]
    page = found[: req.get("MaxResults", MAX_PAGE)]
    identities = {i.baseline.id: i for i in all_baselines(ctx.tx, ctx.scope)}
    answer: Answer = {
        "Mappings": [
            {"PatchGroup": m.patch_group, "BaselineIdentity": identity_to(ctx, identities[m.baseline_id])} for m in page
        ]
    }
    if len(found) > len(page):
        answer["NextToken"] = ctx.page(req, _place(page[-1]))
    return answer


def _fits(mapping: GroupMapping, filters: tuple[tuple[str, tuple[str, ...]], ...]) -> bool:
    return matches(
        filters,
        {
            "NAME_PREFIX": mapping.patch_group.startswith,
            "OPERATING_SYSTEM": lambda value: value == mapping.operating_system,
        },
    )


def _place(mapping: GroupMapping) -> list[Any]:
    return [mapping.patch_group, mapping.operating_system.value]
