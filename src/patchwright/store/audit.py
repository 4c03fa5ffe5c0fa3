"""The audit log: one row for each change, written in the same transaction."""

from datetime import datetime

from patchwright.core.values import Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import audit


def record(
    tx: Tx, scope: Scope, *, at: datetime, principal: str, action: str, request_id: str, resources: list[str]
) -> None:
    """Say who did what to which resources; never a secret, never a request's body."""
    tx.execute(
        _INSERT,
        {
            "account": scope.account,
            "region": scope.region,
            "at": at,
            "principal": principal,
            "action": action,
            "request_id": request_id,
            "resource": ", ".join(resources)[:512],
        },
    )


_INSERT = audit.insert()
"""Made once: every change runs it, and building a statement takes longer than running it."""
