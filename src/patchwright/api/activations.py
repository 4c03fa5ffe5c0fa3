"""Hybrid activations. Source: operations.md 7.4."""

from datetime import datetime
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.tagsets import tags_from, tags_to
from patchwright.core.activations import Activation, expiry_of, hash_of, is_exhausted, is_expired
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.tags import with_tags
from patchwright.store import activations
from patchwright.store.activations import ActivationFilter, ActivationPlace

MAX_PAGE = 50
_FILTER_FIELDS = {"ActivationIds": "ids", "DefaultInstanceName": "default_instance_names", "IamRole": "iam_roles"}


@registry.serves("CreateActivation")
def create_activation(ctx: Context, req: Request) -> Answer:
    """Make an activation. Its code is in this answer and nowhere else: only a hash is kept."""
    if not req["IamRole"].strip():
        raise Invalid(Kind.ACTIVATION, "IamRole must not be empty; no activation was made.")
    wanted = with_tags((), tags_from(req.get("Tags")))
    activation_id, code = ctx.ids.uuid(), ctx.ids.activation_code()
    ctx.require(ctx.arn(f"activation/{activation_id}"), {tag.key: tag.value for tag in wanted})
    made = Activation(
        id=activation_id,
        scope=ctx.scope,
        code_hash=hash_of(code),
        iam_role=req["IamRole"],
        expires_at=expiry_of(req.get("ExpirationDate"), ctx.now),
        created_at=ctx.now,
        description=req.get("Description") or None,
        default_instance_name=req.get("DefaultInstanceName") or None,
        registration_limit=req.get("RegistrationLimit"),
        tags=wanted,
    )
    activations.insert(ctx.tx, made)
    return {"ActivationId": activation_id, "ActivationCode": code}


@registry.serves("DescribeActivations", reads=True)
def describe_activations(ctx: Context, req: Request) -> Answer:
    """Activations that were not deleted, newest first."""
    ctx.require(ctx.arn("activation/*"))
    limit = req.get("MaxResults", MAX_PAGE)
    after = _place_from(ctx.cursor(req))
    found = activations.page(ctx.tx, ctx.scope, _filter_from(req), after=after, limit=limit + 1)
    page = found[:limit]
    answer: Answer = {"ActivationList": [_activation_to(a, ctx.now) for a in page]}
    if len(found) > limit:
        answer["NextToken"] = ctx.page(req, _place_to(page[-1]))
    return answer


@registry.serves("DeleteActivation")
def delete_activation(ctx: Context, req: Request) -> Answer:
    """End an activation; nodes that registered with it stay."""
    activation_id = req["ActivationId"]
    found = activations.find(ctx.tx, activation_id)
    mine = found if found is not None and found.scope == ctx.scope else None
    ctx.require(ctx.arn(f"activation/{activation_id}"), {t.key: t.value for t in mine.tags} if mine else {})
    if not activations.delete(ctx.tx, ctx.scope, activation_id, now=ctx.now):
        raise NotFound(Kind.ACTIVATION, f"Activation {activation_id} does not exist.", id=activation_id)
    return {}


def _filter_from(req: Request) -> ActivationFilter:
    wanted: dict[str, list[str]] = {}
    for entry in req.get("Filters", ()):
        key, values = entry.get("FilterKey"), entry.get("FilterValues")
        if key is None or not values:
            raise Invalid(
                Kind.FILTER, f"A filter needs a FilterKey ({', '.join(_FILTER_FIELDS)}) and at least one FilterValues."
            )
        field = _FILTER_FIELDS[key]
        wanted[field] = [v for v in values if field not in wanted or v in wanted[field]]
    return ActivationFilter(**wanted)


def _activation_to(activation: Activation, now: datetime) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ActivationId": activation.id,
        "IamRole": activation.iam_role,
        "RegistrationsCount": activation.registrations_count,
        "ExpirationDate": activation.expires_at,
        "Expired": is_expired(activation, now) or is_exhausted(activation),
        "CreatedDate": activation.created_at,
        "Tags": tags_to(activation.tags),
    }
    given = {
        "Description": activation.description,
        "DefaultInstanceName": activation.default_instance_name,
        # A limit that nobody gave stays unsaid, else Terraform plans to replace the activation.
        "RegistrationLimit": activation.registration_limit,
    }
    return {**answer, **{member: value for member, value in given.items() if value is not None}}


def _place_to(activation: Activation) -> list[str]:
    return [activation.created_at.isoformat(), activation.id]


def _place_from(cursor: Any | None) -> ActivationPlace | None:
    if cursor is None:
        return None
    created_at, activation_id = cursor
    return ActivationPlace(created_at=datetime.fromisoformat(created_at), id=activation_id)
