"""CreateDocument and the other operations on single documents. Source: operations.md 2, 8."""

from patchwright.api.context import Answer, Context, Request
from patchwright.api.document_fields import ACTIVE, CREATING, UPDATING, description_to, version_to
from patchwright.api.registry import registry
from patchwright.api.tagsets import tags_from
from patchwright.core.document_rules import DEFAULT
from patchwright.core.errors import Invalid, Kind
from patchwright.core.structured_text import to_json, to_yaml
from patchwright.core.tags import TaggedType
from patchwright.core.values import Tag
from patchwright.flows import change_document
from patchwright.flows.change_document import Submitted
from patchwright.flows.find_document import Found, Located, find_document, locate, own_document, tags_of
from patchwright.store import documents, tags

MAX_PAGE = 50


@registry.serves("CreateDocument")
def create_document(ctx: Context, req: Request) -> Answer:
    """Make version 1. The answer says Creating, as the service's does; the document can be used at once."""
    wanted = tags_from(req.get("Tags"))
    ctx.require(ctx.arn(f"document/{req['Name']}"), {tag.key: tag.value for tag in wanted})
    _refuse_what_is_not_kept(req)
    found = change_document.create_document(
        ctx.tx,
        ctx.scope,
        req["Name"],
        _submitted(req),
        type=req.get("DocumentType", "Command"),
        wanted=wanted,
        now=ctx.now,
    )
    return {"DocumentDescription": description_to(found, wanted, status=CREATING)}


@registry.serves("UpdateDocument")
def update_document(ctx: Context, req: Request) -> Answer:
    """Make a new version; the default stays. Its answer says Updating."""
    located = authorized(ctx, req["Name"])
    _refuse_what_is_not_kept(req)
    head = own_document(ctx.tx, ctx.scope, located)
    found = change_document.update_document(
        ctx.tx, head, _submitted(req), selector=req.get("DocumentVersion", DEFAULT), now=ctx.now
    )
    return {"DocumentDescription": description_to(found, _tags(ctx, found), status=UPDATING)}


@registry.serves("UpdateDocumentDefaultVersion")
def update_document_default_version(ctx: Context, req: Request) -> Answer:
    head = own_document(ctx.tx, ctx.scope, authorized(ctx, req["Name"]))
    info = change_document.set_default_version(ctx.tx, head, req["DocumentVersion"])
    return {
        "Description": {
            "Name": head.name,
            "DefaultVersion": str(info.version),
            "DefaultVersionName": info.version_name,
        }
    }


@registry.serves("DescribeDocument", reads=True)
def describe_document(ctx: Context, req: Request) -> Answer:
    found = _found(ctx, req)
    return {"Document": description_to(found, _tags(ctx, found))}


@registry.serves("GetDocument", reads=True)
def get_document(ctx: Context, req: Request) -> Answer:
    """The content byte for byte as submitted, unless another format is asked for."""
    found = _found(ctx, req)
    wanted = req.get("DocumentFormat", found.info.format)
    if wanted == "TEXT":
        raise Invalid(Kind.REQUEST, f"Document {found.document.name} can be had as JSON or YAML, not as TEXT.")
    if wanted == found.info.format:
        content = found.document.text
    else:
        content = to_yaml(found.document.content) if wanted == "YAML" else to_json(found.document.content)
    return {
        "Name": found.document.name,
        "CreatedDate": found.info.created_at,
        "DisplayName": found.info.display_name,
        "VersionName": found.info.version_name,
        "DocumentVersion": str(found.info.version),
        "Status": ACTIVE,
        "Content": content,
        "DocumentType": found.head.type,
        "DocumentFormat": wanted,
    }


@registry.serves("DeleteDocument")
def delete_document(ctx: Context, req: Request) -> Answer:
    """All versions, or the one named by DocumentVersion or VersionName."""
    head = own_document(ctx.tx, ctx.scope, authorized(ctx, req["Name"]))
    change_document.delete_document(
        ctx.tx, head, selector=req.get("DocumentVersion"), version_name=req.get("VersionName")
    )
    return {}


@registry.serves("ListDocumentVersions", reads=True)
def list_document_versions(ctx: Context, req: Request) -> Answer:
    """The latest first. Of another account's document: the versions that it shares."""
    located = authorized(ctx, req["Name"])
    before = ctx.cursor(req)
    if located.builtin or located.owner != ctx.scope.account:
        found = find_document(ctx.tx, ctx.scope, located)
        return {"DocumentVersions": [version_to(found.document.name, found.head, found.info)]}
    head = own_document(ctx.tx, ctx.scope, located)
    limit = req.get("MaxResults", MAX_PAGE)
    page = documents.versions(ctx.tx, head, before=before, limit=limit + 1)
    more = len(page) > limit
    return {
        "DocumentVersions": [version_to(head.name, head, info) for info in page[:limit]],
        "NextToken": ctx.page(req, page[limit - 1].version if more else None),
    }


def authorized(ctx: Context, text: str) -> Located:
    """The document named, on which the caller may do this operation; whether it exists is not told to others."""
    located = locate(ctx.scope, text)
    ctx.require(located.arn, tags_of(ctx.tx, ctx.scope, located))
    return located


def _found(ctx: Context, req: Request) -> Found:
    located = authorized(ctx, req["Name"])
    return find_document(
        ctx.tx, ctx.scope, located, selector=req.get("DocumentVersion"), version_name=req.get("VersionName")
    )


def _tags(ctx: Context, found: Found) -> tuple[Tag, ...]:
    if found.owner != ctx.scope.account:
        return ()
    return tags.of(ctx.tx, ctx.scope, TaggedType.DOCUMENT, found.head.name)


def _submitted(req: Request) -> Submitted:
    return Submitted(
        text=req["Content"],
        format=req.get("DocumentFormat", "JSON"),
        version_name=req.get("VersionName"),
        display_name=req.get("DisplayName"),
        target_type=req.get("TargetType"),
    )


def _refuse_what_is_not_kept(req: Request) -> None:
    for member in ("Attachments", "Requires"):
        if req.get(member):
            raise Invalid(Kind.REQUEST, f"{member} of documents are not part of this release; nothing was made.")
