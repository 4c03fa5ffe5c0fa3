"""Frozen baselines of runs that share a SnapshotId. Source: patch-baselines.md 2.4."""

import msgspec
from sqlalchemy import select

from patchwright.core.baselines import PatchBaseline
from patchwright.core.snapshots import Snapshot, SnapshotKey
from patchwright.store.engine import Tx
from patchwright.store.tables import patch_snapshot as t
from patchwright.store.upsert import upsert

_baseline = msgspec.json.Decoder(PatchBaseline)
_KEY = ("account", "region", "patch_group", "operating_system", "snapshot_id")


def find(tx: Tx, key: SnapshotKey) -> Snapshot | None:
    """What was frozen for `key` last, however long ago."""
    row = tx.execute(select(t).where(*(t.c[name] == value for name, value in _place(key).items()))).first()
    if row is None:
        return None
    return Snapshot(
        key=key,
        baseline=_baseline.decode(row.baseline),
        frozen_at=row.frozen_at,
        version=row.version,
        overridden=row.overridden,
    )


def save(tx: Tx, snapshot: Snapshot) -> None:
    """Keep a snapshot in place of an older one."""
    content = {
        "baseline": msgspec.json.encode(snapshot.baseline),
        "version": snapshot.version,
        "overridden": snapshot.overridden,
        "frozen_at": snapshot.frozen_at,
    }
    upsert(tx, t, [{**_place(snapshot.key), **content}], key=_KEY)


def _place(key: SnapshotKey) -> dict[str, str]:
    return {
        "account": key.scope.account,
        "region": key.scope.region,
        "patch_group": key.patch_group,
        "operating_system": key.operating_system,
        "snapshot_id": key.snapshot_id.lower(),
    }
