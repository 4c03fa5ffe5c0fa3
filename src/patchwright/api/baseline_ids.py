"""Baseline ids between the wire and the rest: custom ones bare, predefined ones as ARN, both forms taken everywhere."""

import re

from patchwright.api.context import Context
from patchwright.core.errors import Kind, NotFound
from patchwright.core.predefined import BY_ID, arn_of, parse_baseline_id
from patchwright.core.tags import TaggedType
from patchwright.core.values import BaselineId
from patchwright.store import tags

_PARTITION = re.compile(r"\Aarn:aws[a-z-]*:")


def baseline_id_from(ctx: Context, text: str) -> BaselineId:
    """The bare id of either form.

    Raises InvalidId for anything else, and NotFound for the ARN of another region or account: a custom baseline is
    found by its id within the caller's own, so the rest of an ARN must not be lost. Source: patch-baselines.md 1.2.
    """
    baseline_id = parse_baseline_id(text)
    if text != baseline_id and _PARTITION.sub("arn:aws:", text) != arn_of_baseline(ctx, baseline_id):
        raise NotFound(
            Kind.BASELINE, "The ARN is not that of a patch baseline of this account and region.", id=baseline_id
        )
    return baseline_id


def baseline_id_to(ctx: Context, baseline_id: BaselineId) -> str:
    """The form in which answers name a baseline."""
    return arn_of(baseline_id, ctx.scope.region) if baseline_id in BY_ID else baseline_id


def arn_of_baseline(ctx: Context, baseline_id: BaselineId) -> str:
    """The ARN that policies speak of; that of a predefined one names its owner."""
    if baseline_id in BY_ID:
        return arn_of(baseline_id, ctx.scope.region)
    return ctx.arn(f"patchbaseline/{baseline_id}")


def authorized(ctx: Context, text: str) -> BaselineId:
    """The id of a baseline on which the caller may do this operation; whether it exists is not told to others."""
    baseline_id = baseline_id_from(ctx, text)
    require_baseline(ctx, baseline_id)
    return baseline_id


def require_baseline(ctx: Context, baseline_id: BaselineId) -> None:
    """Raise Refused unless the caller's policy allows the operation on this baseline with its tags."""
    present = tags.of(ctx.tx, ctx.scope, TaggedType.PATCH_BASELINE, baseline_id)
    ctx.require(arn_of_baseline(ctx, baseline_id), {tag.key: tag.value for tag in present})
