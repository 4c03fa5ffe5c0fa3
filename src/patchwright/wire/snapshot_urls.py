"""Addresses of patch snapshots: whoever has one may read that one snapshot for a day, as with a pre-signed URL.

Source: patch-baselines.md 2.4.
"""

from typing import NamedTuple
from urllib.parse import quote

from patchwright.wire.tokens import InvalidTokenError, derive_key, seal, unseal

PATH = "/patch-snapshots/"
_CONTEXT = b"patch-snapshot"


class Claims(NamedTuple):
    """Which snapshot an address stands for. The content that was frozen at `frozen_at` (microseconds), no later one."""

    account: str
    region: str
    patch_group: str
    operating_system: str
    snapshot_id: str
    frozen_at: int


class SnapshotUrls:
    """Makes and reads the addresses; every process of an installation reads the others'."""

    def __init__(self, master_key: bytes, public_url: str) -> None:
        self._key = derive_key(master_key, "patch-snapshot")
        self._public_url = public_url

    def of(self, snapshot: tuple[str, str, str, str, str, int], until: int) -> str:
        """The address of what Claims say; `until` in seconds since the epoch. It ends in `<OS>-<snapshotId>`."""
        claims = Claims(*snapshot)
        name = quote(f"{claims.operating_system}-{claims.snapshot_id}")
        return f"{self._public_url}{PATH}{seal(self._key, [*claims, until], _CONTEXT)}/{name}"

    def read(self, token: str, now: float) -> Claims | None:
        """What an address stands for; None once its time is over, and for what this server did not make."""
        try:
            *claims, until = unseal(self._key, token, _CONTEXT)
        except InvalidTokenError:
            return None
        return Claims(*claims) if now < until else None
