"""A new access key: its secret is returned once and kept sealed."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchwright.flows.ports import Ids, Sealer
from patchwright.store import principals
from patchwright.store.engine import Tx
from patchwright.store.principals import AccessKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """The key as stored, and its secret, which nobody can read again."""

    key: AccessKey
    secret: str


def make_access_key(
    tx: Tx, *, account: str, user_name: str, policy: dict[str, Any] | None, now: datetime, ids: Ids, sealer: Sealer
) -> MadeKey:
    """Make `AKIA…` with a secret of 40 characters for a user of `account`. No policy: the key may do nothing."""
    key_id = "AKIA" + base64.b32encode(ids.random(10)).decode()
    secret = base64.b64encode(ids.random(30)).decode()
    key = AccessKey(
        id=key_id,
        account=account,
        user_name=user_name,
        sealed_secret=sealer.seal(secret, bound_to=key_id),
        policy=policy,
        created_at=now,
    )
    principals.insert_key(tx, key)
    return MadeKey(key=key, secret=secret)
