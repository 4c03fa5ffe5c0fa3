"""GET /patch-snapshots/…: a frozen baseline for whoever has its address. Source: patch-baselines.md 2.4."""

import asyncio
from typing import Any

from patchwright.core.snapshot_document import snapshot_document
from patchwright.core.snapshots import SnapshotKey
from patchwright.core.values import OperatingSystem, Scope
from patchwright.server.state import State
from patchwright.store import patch_snapshots
from patchwright.store.columns import to_micros


async def snapshot_behind(state: State, token: str) -> dict[str, Any] | None:
    """The document; None for an address that is not ours, is over, or stands for content that was forgotten."""
    claims = state.snapshot_urls.read(token, state.clock.now().timestamp())
    if claims is None:
        return None
    key = SnapshotKey(
        scope=Scope(account=claims.account, region=claims.region),
        patch_group=claims.patch_group,
        operating_system=OperatingSystem(claims.operating_system),
        snapshot_id=claims.snapshot_id,
    )
    found = await asyncio.to_thread(state.store.read, lambda tx: patch_snapshots.find(tx, key))
    if found is None or to_micros(found.frozen_at) != claims.frozen_at:
        return None
    return snapshot_document(found)
