"""A few facts about this database as a whole."""

from sqlalchemy import select

from patchwright.store.engine import Tx
from patchwright.store.tables import meta
from patchwright.store.upsert import upsert


def get(tx: Tx, key: str) -> str | None:
    return tx.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def put(tx: Tx, key: str, value: str) -> None:
    upsert(tx, meta, [{"key": key, "value": value}], key=["key"])
