"""What a handler of the node's door is given, and how handlers are registered."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from patchwright.core.approval import AptDelays
from patchwright.flows.ports import Ids
from patchwright.store.engine import Tx
from patchwright.wire.credentials import NodeKeys, RunToken, RunTokens
from patchwright.wire.snapshot_urls import SnapshotUrls

Request = Mapping[str, Any]
Answer = dict[str, Any]


class Proof(StrEnum):
    """How a caller of the node's door proves who it is."""

    NOTHING = "nothing"
    """RegisterManagedInstance alone: it proves an activation."""
    NODE_KEY = "node key"
    """The RSA form: the registration key itself."""
    NODE_SESSION = "node session"
    """SigV4 with the temporary triple."""
    RUN_TOKEN = "run token"  # noqa: S105 - the word, not a secret
    """A worker's bearer token for one step of one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """One call by a node or by its worker. `node_id` is proven; `run` is set for workers."""

    tx: Tx
    now: datetime
    ids: Ids
    node_id: str
    run: RunToken | None
    keys: NodeKeys
    run_tokens: RunTokens
    snapshot_urls: SnapshotUrls
    address: str
    apt_delays: AptDelays
    worker_source: Callable[[], Mapping[str, str]]
    """What a step of a patch document finds in its environment to fetch its worker by; empty if none is served."""


Prepare = Callable[[NodeContext, Request], Any]
Handle = Callable[[NodeContext, Request, Any], Answer]
Poll = Callable[[NodeContext, Request], bool]
Parts = Callable[[NodeContext, Any], Iterable[Callable[[Tx], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A handler. `prepare` runs first on a snapshot, without any lock, and its result is passed on.

    `parts` says of that result what is written ahead, each part in a transaction of its own: bulk that nothing refers
    to before the handler's own transaction.
    `ready` makes it a long poll: the edge parks the call, outside any transaction, until it answers True.
    """

    target: str
    proof: Proof
    handle: Handle
    prepare: Prepare | None = None
    parts: Parts | None = None
    ready: Poll | None = None


doors: dict[str, Door] = {}


def door(
    target: str,
    proof: Proof,
    *,
    prepare: Prepare | None = None,
    parts: Parts | None = None,
    ready: Poll | None = None,
) -> Callable[[Handle], Handle]:
    """Register the decorated function for `target`; twice is a mistake found at import."""

    def register(handle: Handle) -> Handle:
        if target in doors:
            raise ValueError(f"{target} has two handlers")
        doors[target] = Door(target=target, proof=proof, handle=handle, prepare=prepare, parts=parts, ready=ready)
        return handle

    return register
