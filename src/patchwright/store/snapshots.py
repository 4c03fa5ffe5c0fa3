"""Frozen rules: which baseline, at which version, the runs of one SnapshotId judge by."""

from dataclasses import asdict, dataclass

from sqlalchemy import select

from patchwright.core.snapshots import Snapshot, SnapshotKey
from patchwright.store.engine import Tx
from patchwright.store.tables import patch_snapshot
from patchwright.store.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRules:
    """A version of a baseline (0: predefined); the override document with the digest instead, if it is not ""."""

    baseline_id: str
    baseline_version: int
    baseline_source: str
    override_digest: str = ""


def find(tx: Tx, key: SnapshotKey) -> Snapshot[FrozenRules] | None:
    """What was frozen for `key` last, however long ago."""
    statement = select(patch_snapshot).where(*(patch_snapshot.c[name] == value for name, value in _key(key).items()))
    row = tx.execute(statement).mappings().one_or_none()
    if row is None:
        return None
    rules = FrozenRules(**{name: row[name] for name in FrozenRules.__dataclass_fields__})
    return Snapshot(key=key, baseline=rules, frozen_at=row["frozen_at"])


def save(tx: Tx, snapshot: Snapshot[FrozenRules]) -> None:
    """Keep a snapshot in the place of an older one of its key."""
    key = _key(snapshot.key)
    row = {**key, **asdict(snapshot.baseline), "frozen_at": snapshot.frozen_at}
    upsert(tx, patch_snapshot, [row], key=list(key))


def _key(key: SnapshotKey) -> dict[str, str]:
    return {
        "account": key.scope.account,
        "region": key.scope.region,
        "patch_group": key.patch_group,
        "operating_system": key.operating_system,
        "snapshot_id": key.snapshot_id.lower(),
    }
