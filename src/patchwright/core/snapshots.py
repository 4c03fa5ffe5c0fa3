"""Snapshots: one id means one baseline content, for three days, for every node that shares group and system."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import OperatingSystem, Scope

RETENTION = timedelta(days=3)
URL_VALIDITY = timedelta(hours=24)
"""Both are the vendor's. Source: patch-baselines.md 2.4."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotKey:
    """What a snapshot is frozen for. Source: patch-baselines.md 2.4."""

    scope: Scope
    patch_group: str
    operating_system: OperatingSystem
    snapshot_id: str

    def __post_init__(self) -> None:
        if not _UUID.fullmatch(self.snapshot_id):
            raise Invalid(Kind.PARAMETERS, "SnapshotId is a UUID", id=self.snapshot_id[:64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The frozen content, and since when (aware, UTC). `version`: the baseline's; 0 of predefined and overrides."""

    key: SnapshotKey
    baseline: PatchBaseline
    frozen_at: datetime
    version: int = 0
    overridden: bool = False
    """Whether it is a BaselineOverride's, and not of a baseline that somebody keeps."""


def freeze(
    existing: Snapshot | None,
    key: SnapshotKey,
    baseline: PatchBaseline,
    now: datetime,
    version: int = 0,
    *,
    overridden: bool = False,
) -> Snapshot:
    """The snapshot to use for `key`: the first content wins for three days, then `baseline` is frozen anew."""
    if existing is not None and existing.key == key and now - existing.frozen_at < RETENTION:
        return existing
    return Snapshot(key=key, baseline=baseline, frozen_at=now, version=version, overridden=overridden)
