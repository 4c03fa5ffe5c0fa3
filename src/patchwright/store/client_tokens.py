"""Client tokens: a repeated request gets the first one's result instead of a second resource."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import and_, select

from patchwright.core.errors import Kind, Mismatch
from patchwright.core.values import Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import client_token as table

T = TypeVar("T")

KEPT = timedelta(hours=24)
"""The least time for which a token is remembered. Source: operations.md 1.7."""


def once(
    tx: Tx,
    scope: Scope,
    operation: str,
    token: str | None,
    request: Mapping[str, Any],
    now: datetime,
    make: Callable[[], T],
) -> T:
    """What `make` returned for this token and request the first time; makes it now if there was no first time.

    The result is a JSON value. Without a token `make` runs every time. Raises Mismatch when the token came before
    with another request. Two that race are one on PostgreSQL too: the unique key makes the second look again.
    """
    if token is None:
        return make()
    digest = _digest_of(request)
    row = tx.execute(
        select(table.c.request_digest, table.c.result).where(
            and_(
                table.c.account == scope.account,
                table.c.region == scope.region,
                table.c.operation == operation,
                table.c.token == token,
            )
        )
    ).one_or_none()
    if row is not None:
        if row.request_digest != digest:
            raise Mismatch(
                Kind.TOKEN,
                "This ClientToken came before with other parameters; nothing was made. "
                "Use a new token for a new request.",
            )
        first: T = row.result
        return first
    result = make()
    tx.execute(
        table.insert().values(
            account=scope.account,
            region=scope.region,
            operation=operation,
            token=token,
            request_digest=digest,
            result=result,
            created_at=now,
        )
    )
    return result


def forget(tx: Tx, *, now: datetime) -> int:
    """Drop the tokens that are older than KEPT, for the retention loop; how many they were."""
    return tx.execute(table.delete().where(table.c.created_at < now - KEPT)).rowcount


def _digest_of(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
