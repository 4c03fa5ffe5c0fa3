"""What one server process holds: store, models, keys, clock. Built once by `app.py`, handed to every part."""

from dataclasses import dataclass

from patchwright.api.context import Service
from patchwright.flows.ports import Ids
from patchwright.server.agent_artefact import AgentArtefact
from patchwright.server.clock import SystemClock
from patchwright.server.secrets import Sealer
from patchwright.server.settings import Settings
from patchwright.server.waits import Waits
from patchwright.store.engine import Engine
from patchwright.wire.channel_opening import ChannelTokens
from patchwright.wire.credentials import NodeKeys, RunTokens
from patchwright.wire.model import Models
from patchwright.wire.snapshot_urls import SnapshotUrls
from patchwright.wire.tokens import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a request may need; nothing in it changes after start but through its own methods."""

    settings: Settings
    service: Service
    store: Engine
    models: Models
    clock: SystemClock
    ids: Ids
    tokens: Tokens
    node_keys: NodeKeys
    run_tokens: RunTokens
    channel_tokens: ChannelTokens
    snapshot_urls: SnapshotUrls
    sealer: Sealer
    waits: Waits
    artefact: AgentArtefact
