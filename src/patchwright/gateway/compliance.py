"""A node's own compliance items. Source: agent-protocol.md 11, decisions.md 2."""

from patchwright.core.compliance import RESOURCE_TYPE
from patchwright.core.compliance_reports import Report
from patchwright.core.errors import Invalid, Kind
from patchwright.flows.put_compliance import PARTIAL, put_report, read_report
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import own


def _read(ctx: NodeContext, request: Request) -> Report:
    """Everything about the items that needs no lock."""
    if request["ResourceType"] != RESOURCE_TYPE:
        raise Invalid(Kind.RESOURCE, f"The resource of a node is a {RESOURCE_TYPE}.")
    own(ctx, request, "ResourceId")
    return read_report(request)


@door("AmazonSSM.PutComplianceItems", Proof.NODE_SESSION, prepare=_read)
def put_own_compliance_items(ctx: NodeContext, request: Request, prepared: Report) -> Answer:
    """The operation of the operator's door, for a node and what is found on it."""
    partial = request.get("UploadType") == PARTIAL
    put_report(ctx.tx, own(ctx, request, "ResourceId"), prepared, partial=partial, now=ctx.now)
    return {}
