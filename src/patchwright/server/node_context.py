"""What a handler of the node's door is given, made of what this process holds."""

from patchwright.gateway.context import NodeContext
from patchwright.server.state import State
from patchwright.store.engine import Tx
from patchwright.wire.credentials import RunToken


def node_context(state: State, tx: Tx, *, node_id: str, run: RunToken | None = None, address: str) -> NodeContext:
    """One call by `node_id`, or by its worker with `run`; both must be proven."""
    return NodeContext(
        tx=tx,
        now=state.clock.now(),
        ids=state.ids,
        node_id=node_id,
        run=run,
        keys=state.node_keys,
        run_tokens=state.run_tokens,
        snapshot_urls=state.snapshot_urls,
        address=address,
        apt_delays=state.service.apt_delays,
        worker_source=state.artefact.worker_source,
    )
