"""What GetDeployablePatchSnapshotForInstance answers, whoever asks. Source: patch-baselines.md 2.4."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Invalid, Kind
from patchwright.core.nodes import ManagedNode, product_of
from patchwright.core.override_baselines import MalformedBaseline, baseline_from_plain
from patchwright.core.snapshots import URL_VALIDITY, Snapshot
from patchwright.core.values import OperatingSystem
from patchwright.flows.facts_document import read_state
from patchwright.flows.patch_snapshot import frozen
from patchwright.store import facts
from patchwright.store.columns import to_micros
from patchwright.store.engine import Tx


class Urls(Protocol):
    """Makes addresses that only this server can have made; `wire/snapshot_urls.py`."""

    def of(self, snapshot: tuple[str, str, str, str, str, int], until: int) -> str:
        """Of account, region, patch group, system, id and instant of a snapshot; good until that second."""


def deployable_snapshot(
    tx: Tx, node: ManagedNode, request: Mapping[str, Any], now: datetime, urls: Urls
) -> dict[str, Any]:
    """Freeze the node's baseline, or the override given, under the request's id; the same again is a fresh address.

    Raises Unsupported where the node's system is unknown, Invalid for an override that contradicts itself.
    """
    snapshot_id = request["SnapshotId"]
    found = frozen(tx, node, snapshot_id, now, _override(request.get("BaselineOverride")))
    return {
        "InstanceId": node.id,
        "SnapshotId": snapshot_id,
        "Product": _product(tx, node),
        "SnapshotDownloadUrl": urls.of(_place(found), int((now + URL_VALIDITY).timestamp())),
    }


def _place(snapshot: Snapshot) -> tuple[str, str, str, str, str, int]:
    key = snapshot.key
    frozen_at = to_micros(snapshot.frozen_at)
    return key.scope.account, key.scope.region, key.patch_group, key.operating_system, key.snapshot_id, frozen_at


def _override(plain: Mapping[str, Any] | None) -> PatchBaseline | None:
    if not plain:
        return None
    try:
        return baseline_from_plain(plain, OperatingSystem(plain.get("OperatingSystem", OperatingSystem.WINDOWS)))
    except MalformedBaseline as wrong:
        raise Invalid(Kind.PARAMETERS, f"{wrong} of BaselineOverride has a value of the wrong kind.") from wrong


def _product(tx: Tx, node: ManagedNode) -> str:
    record = facts.current(tx, node.id)
    system = node.operating_system
    if system is None:
        raise LookupError("a node without a system has no snapshot")
    return product_of(system, read_state(facts.state_body(tx, record.state)).os_version) if record else system
