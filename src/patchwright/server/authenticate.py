"""Who calls: an operator's key, a node's key or session, a worker's token.

Source: operations.md 1.4, decisions.md 2 and 18.
"""

import asyncio
import base64
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchwright.core.access import Principal
from patchwright.server.state import State
from patchwright.store import nodes, principals
from patchwright.wire import sigv4
from patchwright.wire.canonical import SignedRequest
from patchwright.wire.credentials import RunToken, bearer_token
from patchwright.wire.errors import UnrecognizedClientError
from patchwright.wire.node_signature import verify_node

KEY_TTL_SECONDS = 5.0
"""How long a key that another process deleted may still work here; deleting through this process acts at once."""
MAX_KEYS = 10_000
TEMPORARY = "ASIA"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCaller:
    """A user's key; the region is the one in the signature's scope. Source: product.md, idea 7."""

    principal: Principal
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCaller:
    """A node: by its registration key (`by_key`) or by its temporary triple."""

    node_id: str
    by_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCaller:
    """A patch worker with the token of one step."""

    run: RunToken


Caller = OperatorCaller | NodeCaller | WorkerCaller


class Authenticator:
    """Verifies callers; remembers operators' keys for a few seconds."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._keys: dict[str, tuple[float, Principal, str]] = {}
        self._tolerance = timedelta(minutes=state.settings.clock_tolerance_minutes)
        state.store.on_wake(self._forget)

    def _forget(self, channel: str) -> None:
        if channel in ("keys", "*"):
            self._keys.clear()

    async def caller(self, request: SignedRequest, service: str | None, now: datetime) -> Caller:
        """Say who signed `request` for `service` (None: not known). Raises a WireError that tells nothing else."""
        token = bearer_token(request.header("authorization"))
        if token is not None:
            return WorkerCaller(run=self._state.run_tokens.read(token, now))
        claim = sigv4.parse_authorization(request)
        if claim.by_node_key:
            return await self._node_by_key(request, claim, service, now)
        if claim.access_key_id.startswith(TEMPORARY):
            return self._node_by_session(request, claim, service, now)
        principal, secret = await self._operator(claim.access_key_id)
        if request.header("x-amz-security-token") is not None:
            raise UnrecognizedClientError
        sigv4.verify(request, claim, secret, service=service, now=now, tolerance=self._tolerance)
        return OperatorCaller(principal=principal, region=claim.region)

    def _node_by_session(
        self, request: SignedRequest, claim: sigv4.Authorization, service: str | None, now: datetime
    ) -> NodeCaller:
        token = request.header("x-amz-security-token")
        if not token:
            raise UnrecognizedClientError
        session = self._state.node_keys.read(token, claim.access_key_id, now)
        secret = self._state.node_keys.secret(claim.access_key_id)
        sigv4.verify(request, claim, secret, service=service, now=now, tolerance=self._tolerance)
        return NodeCaller(node_id=session.node_id, by_key=False)

    async def _node_by_key(
        self, request: SignedRequest, claim: sigv4.Authorization, service: str | None, now: datetime
    ) -> NodeCaller:
        node = await asyncio.wrap_future(self._state.store.submit_read(lambda tx: nodes.find(tx, claim.access_key_id)))
        if node is None:
            raise UnrecognizedClientError
        key = base64.b64decode(node.public_key)
        verify_node(request, claim, key, service=service, now=now, tolerance=self._tolerance)
        return NodeCaller(node_id=node.id, by_key=True)

    async def _operator(self, key_id: str) -> tuple[Principal, str]:
        known = self._keys.get(key_id)
        if known is not None and time.monotonic() - known[0] < KEY_TTL_SECONDS:
            return known[1], known[2]
        found = await asyncio.wrap_future(self._state.store.submit_read(lambda tx: principals.find_key(tx, key_id)))
        if found is None:
            raise UnrecognizedClientError
        secret = self._state.sealer.open(found.sealed_secret, bound_to=found.id)
        if len(self._keys) >= MAX_KEYS:
            self._keys.clear()
        self._keys[key_id] = (time.monotonic(), found.principal, secret)
        return found.principal, secret
