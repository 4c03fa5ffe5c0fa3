"""Tags of resources. Source: operations.md 7.5."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from patchwright.api.baseline_ids import baseline_id_from, require_baseline
from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.tagsets import tags_from, tags_to
from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.errors import Invalid, InvalidId, Kind, NotFound
from patchwright.core.predefined import BY_ID
from patchwright.core.tags import TaggedType
from patchwright.flows import change_tags
from patchwright.flows.find_baseline import find_baseline
from patchwright.flows.find_document import locate, tags_of
from patchwright.store import documents, nodes, tags, windows

_NODE_ID = re.compile(r"m?i-[0-9a-f]{8}(?:[0-9a-f]{9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagged:
    """A resource that exists, and that the caller may do this operation on."""

    kind: TaggedType
    id: str
    ours: bool = False
    """Owned by the service: its tags can be read, never changed."""


@registry.serves("AddTagsToResource")
def add_tags_to_resource(ctx: Context, req: Request) -> Answer:
    found = _changeable(_located(ctx, req))
    change_tags.add_tags(ctx.tx, ctx.scope, found.kind, found.id, tags_from(req["Tags"]), now=ctx.now, ids=ctx.ids)
    return {}


@registry.serves("RemoveTagsFromResource")
def remove_tags_from_resource(ctx: Context, req: Request) -> Answer:
    found = _changeable(_located(ctx, req))
    change_tags.remove_tags(ctx.tx, ctx.scope, found.kind, found.id, req["TagKeys"], now=ctx.now, ids=ctx.ids)
    return {}


@registry.serves("ListTagsForResource", reads=True, short=True)
def list_tags_for_resource(ctx: Context, req: Request) -> Answer:
    """TagList is there when it is empty too: Terraform reads it."""
    found = _located(ctx, req)
    return {"TagList": tags_to(tags.of(ctx.tx, ctx.scope, found.kind, found.id))}


def _located(ctx: Context, req: Request) -> _Tagged:
    locate = _LOCATE.get(req["ResourceType"])
    if locate is None:
        raise Invalid(Kind.RESOURCE, f"{req['ResourceType']} has no tags on this server; {', '.join(_LOCATE)} have.")
    return locate(ctx, req["ResourceId"])


def _changeable(found: _Tagged) -> _Tagged:
    if found.ours:
        raise InvalidId(Kind.RESOURCE, "The tags of what the service owns can't be changed.", id=found.id)
    return found


def _baseline(ctx: Context, text: str) -> _Tagged:
    try:
        baseline_id = baseline_id_from(ctx, text)
    except NotFound as foreign:
        raise InvalidId(Kind.RESOURCE, foreign.message, id=foreign.id) from None
    require_baseline(ctx, baseline_id)
    if find_baseline(ctx.tx, ctx.scope, baseline_id) is None:
        raise InvalidId(Kind.RESOURCE, f"Patch Baseline {baseline_id} does not exist.", id=baseline_id)
    return _Tagged(kind=TaggedType.PATCH_BASELINE, id=baseline_id, ours=baseline_id in BY_ID)


def _node(ctx: Context, text: str) -> _Tagged:
    node_id = text.removeprefix(ctx.arn("managed-instance/"))
    if not _NODE_ID.fullmatch(node_id):
        raise InvalidId(Kind.RESOURCE, "A managed node's id is mi- and 17 hexadecimal digits.", id=node_id[:128])
    present = tags.of(ctx.tx, ctx.scope, TaggedType.MANAGED_INSTANCE, node_id)
    ctx.require(ctx.arn(f"managed-instance/{node_id}"), {tag.key: tag.value for tag in present})
    if not nodes.get_many(ctx.tx, ctx.scope, [node_id]):
        raise InvalidId(Kind.RESOURCE, f"{node_id} is not a registered node of this account and region.", id=node_id)
    return _Tagged(kind=TaggedType.MANAGED_INSTANCE, id=node_id)


def _document(ctx: Context, text: str) -> _Tagged:
    try:
        located = locate(ctx.scope, text)
    except NotFound as foreign:
        raise InvalidId(Kind.RESOURCE, foreign.message, id=foreign.id) from None
    ctx.require(located.arn, tags_of(ctx.tx, ctx.scope, located))
    if located.builtin and located.ref.name in BUILTIN:
        return _Tagged(kind=TaggedType.DOCUMENT, id=located.ref.name, ours=True)
    if located.owner != ctx.scope.account or documents.find(ctx.tx, ctx.scope, located.ref.name) is None:
        raise InvalidId(Kind.RESOURCE, f"Document {located.ref.name} does not exist.", id=located.ref.name)
    return _Tagged(kind=TaggedType.DOCUMENT, id=located.ref.name)


def _window(ctx: Context, text: str) -> _Tagged:
    window_id = text.removeprefix(ctx.arn("maintenancewindow/"))
    present = tags.of(ctx.tx, ctx.scope, TaggedType.MAINTENANCE_WINDOW, window_id)
    ctx.require(ctx.arn(f"maintenancewindow/{window_id}"), {tag.key: tag.value for tag in present})
    if windows.find(ctx.tx, window_id, scope=ctx.scope) is None:
        raise InvalidId(Kind.RESOURCE, f"Maintenance window {window_id[:128]} does not exist.", id=window_id[:128])
    return _Tagged(kind=TaggedType.MAINTENANCE_WINDOW, id=window_id)


_LOCATE: dict[str, Callable[[Context, str], _Tagged]] = {
    TaggedType.PATCH_BASELINE: _baseline,
    TaggedType.MANAGED_INSTANCE: _node,
    TaggedType.DOCUMENT: _document,
    TaggedType.MAINTENANCE_WINDOW: _window,
}
