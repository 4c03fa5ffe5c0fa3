"""DescribeDocumentPermission and ModifyDocumentPermission: sharing with other accounts. Source: operations.md 2.4."""

from patchwright.api.context import Answer, Context, Request
from patchwright.api.documents import authorized
from patchwright.api.registry import registry
from patchwright.core.document_rules import DEFAULT
from patchwright.flows import change_document
from patchwright.flows.find_document import own_document
from patchwright.store import documents

MAX_PAGE = 200
"""Also when none is asked for: clients that don't page must see every account of a usual list."""


@registry.serves("DescribeDocumentPermission", reads=True)
def describe_document_permission(ctx: Context, req: Request) -> Answer:
    """The accounts with which the document is shared, in order; `all` stands for everyone."""
    head = own_document(ctx.tx, ctx.scope, authorized(ctx, req["Name"]))
    after, limit = ctx.cursor(req), req.get("MaxResults", MAX_PAGE)
    found = [(a, v) for a, v in documents.shares(ctx.tx, head).items() if after is None or a > after]
    page = found[:limit]
    return {
        "AccountIds": [account for account, _ in page],
        "AccountSharingInfoList": [{"AccountId": a, "SharedDocumentVersion": v} for a, v in page],
        "NextToken": ctx.page(req, page[-1][0] if len(found) > limit else None),
    }


@registry.serves("ModifyDocumentPermission")
def modify_document_permission(ctx: Context, req: Request) -> Answer:
    """Share, and stop sharing; who is in both lists is removed. Without a version: the default one is shared."""
    head = own_document(ctx.tx, ctx.scope, authorized(ctx, req["Name"]))
    change_document.change_shares(
        ctx.tx,
        head,
        add=req.get("AccountIdsToAdd") or (),
        remove=req.get("AccountIdsToRemove") or (),
        version=req.get("SharedDocumentVersion", DEFAULT),
    )
    return {}
