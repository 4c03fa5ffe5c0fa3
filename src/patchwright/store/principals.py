"""Accounts and access keys. Secrets are sealed before they get here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from patchwright.core.access import Principal, parse_policy
from patchwright.core.errors import AlreadyExists, Kind, NotFound
from patchwright.store.engine import Tx
from patchwright.store.tables import access_key, account


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key as it is kept: `sealed_secret` opens with the server's master key only."""

    id: str
    account: str
    user_name: str
    sealed_secret: bytes
    policy: dict[str, Any] | None
    created_at: datetime

    @property
    def principal(self) -> Principal:
        statements = parse_policy(self.policy) if self.policy is not None else ()
        return Principal(account=self.account, user_name=self.user_name, access_key_id=self.id, statements=statements)


def insert_account(tx: Tx, account_id: str, name: str, now: datetime) -> None:
    """Raises AlreadyExists."""
    if account_exists(tx, account_id):
        raise AlreadyExists(Kind.ACCOUNT, f"Account {account_id} exists already.", id=account_id)
    tx.execute(account.insert().values(id=account_id, name=name, created_at=now))


def account_exists(tx: Tx, account_id: str) -> bool:
    return tx.execute(select(account.c.id).where(account.c.id == account_id)).first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A tenant: every row of its users belongs to it."""

    id: str
    name: str
    created_at: datetime


def accounts(tx: Tx) -> list[Account]:
    """Every account in id order."""
    return [Account(**r) for r in tx.execute(select(account).order_by(account.c.id)).mappings()]


def insert_key(tx: Tx, key: AccessKey) -> None:
    tx.execute(
        access_key.insert().values(
            id=key.id,
            account=key.account,
            user_name=key.user_name,
            sealed_secret=key.sealed_secret,
            policy=key.policy,
            created_at=key.created_at,
        )
    )


def find_key(tx: Tx, key_id: str) -> AccessKey | None:
    row = tx.execute(select(access_key).where(access_key.c.id == key_id)).mappings().first()
    return None if row is None else AccessKey(**row)


def keys(tx: Tx, account_id: str, *, after: str, limit: int) -> list[AccessKey]:
    """The keys of an account in id order, those behind `after`."""
    rows = tx.execute(
        select(access_key)
        .where(access_key.c.account == account_id, access_key.c.id > after)
        .order_by(access_key.c.id)
        .limit(limit)
    ).mappings()
    return [AccessKey(**r) for r in rows]


def count_keys(tx: Tx) -> int:
    return int(tx.execute(select(func.count()).select_from(access_key)).scalar_one())


def delete_key(tx: Tx, account_id: str, key_id: str) -> None:
    """Raises NotFound."""
    gone = tx.execute(access_key.delete().where(access_key.c.account == account_id, access_key.c.id == key_id))
    if gone.rowcount == 0:
        raise NotFound(Kind.ACCESS_KEY, f"Access key {key_id} does not exist in this account.", id=key_id)
