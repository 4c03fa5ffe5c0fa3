"""Documents that a command makes its nodes fetch. Source: operations.md 2.3 (runDocument, downloadContent)."""

from typing import Any

from patchwright.core.structured_text import to_json
from patchwright.flows.sent_documents import document_for_node
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import registered


@door("AmazonSSM.GetDocument", Proof.NODE_SESSION)
def get_sent_document(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    """The operation of the operator's door, for a node: only what its open commands name."""
    document = document_for_node(ctx.tx, registered(ctx), request["Name"], request.get("DocumentVersion"))
    as_submitted = request.get("DocumentFormat", document.format) == document.format
    return {
        "Name": document.name,
        "DocumentVersion": document.version,
        "Status": "Active",
        "Content": document.text if as_submitted else to_json(document.content),
        "DocumentType": document.type,
        "DocumentFormat": document.format if as_submitted else "JSON",
    }
