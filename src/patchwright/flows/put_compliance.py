"""Compliance items that a node or an operator puts -> the report that stands. Source: operations.md 7.2."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from patchwright.core.compliance_reports import (
    ASSOCIATION,
    MAX_CUSTOM_TYPES,
    ComplianceItem,
    Report,
    check_items,
    check_total,
    check_type,
    in_order,
    merged,
)
from patchwright.core.errors import Kind, LimitExceeded
from patchwright.core.inventory import clean
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import ComplianceLevel, ComplianceStatus
from patchwright.store import compliance_reports
from patchwright.store.engine import Tx

PARTIAL = "PARTIAL"


def read_report(request: Mapping[str, Any]) -> Report:
    """A report as it came, cleaned and checked as far as that goes without the store. Raises Invalid, LimitExceeded."""
    check_type(request["ComplianceType"])
    items = [_item(entry) for entry in request["Items"]]
    check_items(items, partial=request.get("UploadType") == PARTIAL)
    execution = request["ExecutionSummary"]
    return Report(
        compliance_type=request["ComplianceType"],
        execution_id=clean(execution.get("ExecutionId", "")),
        execution_type=clean(execution.get("ExecutionType", "")),
        executed_at=execution["ExecutionTime"],
        content_hash=clean(request.get("ItemContentHash", "")),
        items=in_order(items),
    )


def _item(entry: Mapping[str, Any]) -> ComplianceItem:
    return ComplianceItem(
        id=clean(entry.get("Id", "")),
        title=clean(entry.get("Title", "")),
        severity=ComplianceLevel(entry["Severity"]),
        status=ComplianceStatus(entry["Status"]),
        details={clean(name): clean(value) for name, value in entry.get("Details", {}).items()},
    )


def put_report(tx: Tx, node: ManagedNode, report: Report, *, partial: bool, now: datetime) -> None:
    """Let the report stand for its type. One with the hash of what stands changes nothing, also without items.

    Raises LimitExceeded.
    """
    before = compliance_reports.current(tx, node.id, report.compliance_type)
    if before is not None and report.content_hash and before.content_hash == report.content_hash:
        return
    if partial:
        report = _together(before.items if before else (), report)
        if before == report:
            return
    if before is None and report.items:
        _check_room(tx, node, report.compliance_type)
    if before is not None or report.items:
        compliance_reports.replace(tx, node.scope, node.id, report, now)


def _together(before: Sequence[ComplianceItem], report: Report) -> Report:
    items = merged(before, report.items)
    size = sum(len(i.id) + len(i.title) + sum(len(k) + len(v) for k, v in i.details.items()) for i in items)
    check_total(len(items), size)
    return Report(
        compliance_type=report.compliance_type,
        execution_id=report.execution_id,
        execution_type=report.execution_type,
        executed_at=report.executed_at,
        content_hash="",  # that of the part says nothing of the whole
        items=items,
    )


def _check_room(tx: Tx, node: ManagedNode, compliance_type: str) -> None:
    own = compliance_reports.types_of(tx, node.id) - {ASSOCIATION}
    if compliance_type != ASSOCIATION and len(own) >= MAX_CUSTOM_TYPES:
        raise LimitExceeded(
            Kind.COMPLIANCE_TYPE,
            f"{node.id} has items of {MAX_CUSTOM_TYPES} custom types already: put one of them without items to end it.",
        )
