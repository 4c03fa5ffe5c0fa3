"""CreatePatchBaseline and the other operations on patch baselines. Source: patch-baselines.md 1, 8, 9."""

from typing import Any

from patchwright.api.baseline_ids import (
    authorized,
    baseline_id_to,
    require_baseline,
)
from patchwright.api.baseline_shapes import baseline_from, baseline_to, identity_to, merged, replaced
from patchwright.api.context import Answer, Context, Request
from patchwright.api.orchestrator_filters import matches, orchestrator_filters
from patchwright.api.registry import registry
from patchwright.api.tagsets import tags_from
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.values import BaselineId, OperatingSystem
from patchwright.flows import change_baseline
from patchwright.flows.find_baseline import BaselineIdentity, all_baselines, default_baseline, find_baseline
from patchwright.store import patch_groups
from patchwright.store.client_tokens import once

MAX_PAGE = 100
FILTER_KEYS = ("NAME_PREFIX", "OWNER", "OPERATING_SYSTEM")


@registry.serves("CreatePatchBaseline")
def create_patch_baseline(ctx: Context, req: Request) -> Answer:
    """Make a baseline; the same ClientToken again answers the first one's id."""
    wanted = tags_from(req.get("Tags"))
    baseline = baseline_from(req, BaselineId(ctx.ids.baseline()))

    def make() -> dict[str, Any]:
        change_baseline.create_baseline(ctx.tx, ctx.scope, baseline, wanted, now=ctx.now)
        return {"BaselineId": baseline.id}

    request = {member: value for member, value in req.items() if member != "ClientToken"}
    answer = once(ctx.tx, ctx.scope, ctx.operation, req.get("ClientToken"), request, ctx.now, make)
    # After the fact, since only now its id is known, be it a new one or the first one's: a refusal undoes everything.
    ctx.require(ctx.arn(f"patchbaseline/{answer['BaselineId']}"), {tag.key: tag.value for tag in wanted})
    return answer


@registry.serves("GetPatchBaseline", reads=True, short=True)
def get_patch_baseline(ctx: Context, req: Request) -> Answer:
    baseline_id = authorized(ctx, req["BaselineId"])
    stored = find_baseline(ctx.tx, ctx.scope, baseline_id)
    if stored is None:
        raise NotFound(Kind.BASELINE, "Patch Baseline to be retrieved does not exist.", id=baseline_id)
    groups = patch_groups.of_baseline(ctx.tx, ctx.scope, baseline_id)
    return {**baseline_to(ctx, stored), "PatchGroups": list(groups)}


@registry.serves("UpdatePatchBaseline")
def update_patch_baseline(ctx: Context, req: Request) -> Answer:
    """Merge what is given, or with Replace start from the defaults. Source: patch-baselines.md 1.12."""
    baseline_id = authorized(ctx, req["BaselineId"])
    before = change_baseline.own_baseline(ctx.tx, ctx.scope, baseline_id)
    if req.get("Replace") and "Name" not in req:
        raise Invalid(
            Kind.BASELINE,
            "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
        )
    after = (replaced if req.get("Replace") else merged)(before.baseline, req)
    stored = change_baseline.update_baseline(ctx.tx, ctx.scope, before, after, now=ctx.now, ids=ctx.ids)
    return baseline_to(ctx, stored)


@registry.serves("DeletePatchBaseline")
def delete_patch_baseline(ctx: Context, req: Request) -> Answer:
    baseline_id = authorized(ctx, req["BaselineId"])
    change_baseline.delete_baseline(ctx.tx, ctx.scope, baseline_id, now=ctx.now)
    return {"BaselineId": req["BaselineId"]}


@registry.serves("DescribePatchBaselines", reads=True)
def describe_patch_baselines(ctx: Context, req: Request) -> Answer:
    """Predefined ones first, then by name and id. Source: patch-baselines.md 8."""
    ctx.require(ctx.arn("patchbaseline/*"))
    filters = orchestrator_filters(req.get("Filters"), FILTER_KEYS)
    found = [i for i in all_baselines(ctx.tx, ctx.scope) if _fits(i, filters)]
    cursor = ctx.cursor(req)
    if cursor is not None:
        found = [i for i in found if _place(i) > cursor]
    page = found[: req.get("MaxResults", MAX_PAGE)]
    answer: Answer = {"BaselineIdentities": [identity_to(ctx, i) for i in page]}
    if len(found) > len(page):
        answer["NextToken"] = ctx.page(req, _place(page[-1]))
    return answer


@registry.serves("RegisterDefaultPatchBaseline")
def register_default_patch_baseline(ctx: Context, req: Request) -> Answer:
    baseline_id = authorized(ctx, req["BaselineId"])
    change_baseline.register_default(ctx.tx, ctx.scope, baseline_id, now=ctx.now, ids=ctx.ids)
    return {"BaselineId": req["BaselineId"]}


@registry.serves("GetDefaultPatchBaseline", reads=True, short=True)
def get_default_patch_baseline(ctx: Context, req: Request) -> Answer:
    system = OperatingSystem(req.get("OperatingSystem", OperatingSystem.WINDOWS))
    baseline_id = default_baseline(ctx.tx, ctx.scope, system)
    require_baseline(ctx, baseline_id)
    return {"BaselineId": baseline_id_to(ctx, baseline_id), "OperatingSystem": system.value}


def _fits(identity: BaselineIdentity, filters: tuple[tuple[str, tuple[str, ...]], ...]) -> bool:
    baseline = identity.baseline
    owner = "AWS" if baseline.predefined else "Self"
    return matches(
        filters,
        {
            "NAME_PREFIX": baseline.name.startswith,
            "OWNER": lambda value: value in (owner, "All"),
            "OPERATING_SYSTEM": lambda value: value == baseline.operating_system,
        },
    )


def _place(identity: BaselineIdentity) -> list[Any]:
    """Where a baseline stands in the listing's order: what a cursor holds."""
    baseline = identity.baseline
    return [int(not baseline.predefined), baseline.name, str(baseline.id)]
