"""Override documents that workers fetched, each kept once: a fleet is given one list, not ten thousand."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from patchwright.store.engine import Tx
from patchwright.store.tables import override_document
from patchwright.store.upsert import insert_or_ignore


def keep(tx: Tx, account: str, digest: str, content: Any, *, now: datetime) -> None:
    """Keep a parsed document under the digest of its bytes, unless it is there."""
    insert_or_ignore(tx, override_document, [{"account": account, "digest": digest, "content": content, "at": now}])


def find(tx: Tx, account: str, digest: str) -> Any:
    """The parsed document with this digest; None if there is none."""
    return tx.execute(
        select(override_document.c.content).where(
            override_document.c.account == account, override_document.c.digest == digest
        )
    ).scalar_one_or_none()
