"""Documents that a command makes its nodes fetch: they must be there, and be allowed to whoever has it sent."""

from collections.abc import Mapping

from patchwright.api.context import Context
from patchwright.core.builtin_patch_documents import NOOP
from patchwright.core.document_parameters import check_parameters
from patchwright.core.document_rules import arn_of
from patchwright.core.documents import Document
from patchwright.core.errors import Invalid, Kind
from patchwright.flows.find_document import tags_of
from patchwright.flows.sent_documents import nested_documents


def require_nested(
    ctx: Context, document: Document, given: Mapping[str, list[str]], *, action: str | None = None
) -> None:
    """What the command makes nodes fetch must be there, and its sender must be allowed to send that as well.

    `action`: what the caller must be allowed to do, if it is not this operation.
    """
    values = check_parameters(document, given)
    noop = arn_of(ctx.scope, NOOP, builtin=True)  # stands where a hook is not used: whoever may send one may send that
    for nested in nested_documents(ctx.tx, ctx.scope, document.content, values):
        if nested.located is not None and nested.located.arn != noop:
            ctx.require(nested.located.arn, tags_of(ctx.tx, ctx.scope, nested.located), action=action)
        if nested.found is None:
            which = f"{nested.name}:{nested.version}" if nested.version else nested.name
            raise Invalid(
                Kind.PARAMETERS, f"Step {nested.step} runs document {which}, which does not exist. Nothing was sent."
            )
