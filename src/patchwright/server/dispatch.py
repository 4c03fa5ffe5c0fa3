"""A verified call -> its handler in one transaction -> its answer. Long polls are parked outside any transaction."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect

from patchwright.api.context import Context
from patchwright.api.registry import Entry, registry
from patchwright.core.access import could
from patchwright.core.errors import Kind, Refused
from patchwright.core.values import Scope
from patchwright.gateway.context import Door, NodeContext, Proof, doors
from patchwright.server.authenticate import Caller, NodeCaller, OperatorCaller, WorkerCaller
from patchwright.server.node_context import node_context
from patchwright.server.state import State
from patchwright.store import audit
from patchwright.store.engine import Tx
from patchwright.wire.errors import WireError
from patchwright.wire.model import Operation

T = TypeVar("T")
Left = Callable[[], Awaitable[None]]

COALESCE_SECONDS = 0.02
"""When one message is ready, its followers get this long to come along. Source: agent-protocol.md 6.2."""
RECHECK_SECONDS = 10.0
"""A parked poll looks again by itself: a message that nobody acknowledged becomes visible by time alone."""


class NotBuilt(WireError):
    """In the model, but not served by this release."""

    def __init__(self, operation: str, version: str) -> None:
        super().__init__(
            "NotImplementedException",
            f"{operation} is part of the API, but Patchwright {version} does not serve it yet.",
            501,
        )


class Dispatcher:
    """Finds the handler of an operation and runs it for a caller who may."""

    def __init__(self, state: State) -> None:
        self._state = state

    def may_be_unsigned(self, operation: Operation) -> bool:
        """True for the one operation that proves itself by its body."""
        found = doors.get(operation.target)
        return found is not None and found.proof is Proof.NOTHING

    async def run(
        self,
        operation: Operation,
        caller: Caller | None,
        request: Mapping[str, Any],
        request_id: str,
        address: str,
        left: Left,
    ) -> Mapping[str, Any]:
        """The answer as plain values. Raises DomainError, WireError, StoreUnavailable or ClientDisconnect.

        `left` comes back once the client is gone; a parked call ends with it.
        """
        found = doors.get(operation.target)
        if found is not None and not _is_operators(operation, caller):
            return await self._node_call(found, operation, caller, request, address, left)
        if not isinstance(caller, OperatorCaller):
            raise Refused(Kind.REQUEST, f"{operation.name} is an operator's; a node's credentials do not reach it.")
        entry = registry.entries.get(f"{operation.service}:{operation.name}")
        if entry is None:
            raise NotBuilt(operation.name, self._state.service.version)
        return await self._operator_call(entry, caller, request, request_id)

    def authorize(self, operation: Operation, caller: Caller | None) -> None:
        """The operation-level check, before the body is read. Raises Refused."""
        if not isinstance(caller, OperatorCaller):
            return
        if operation.target in doors and not _is_operators(operation, caller):
            return
        action = f"{operation.service}:{operation.name}"
        decision = could(caller.principal, action)
        if not decision.allowed:
            raise Refused(
                Kind.REQUEST,
                f"User: {caller.principal.arn} is not authorized to perform: {action} on resource: * {decision.reason}",
            )

    async def _operator_call(
        self, entry: Entry, caller: OperatorCaller, request: Mapping[str, Any], request_id: str
    ) -> Mapping[str, Any]:
        state = self._state
        now = state.clock.now()
        prepared: Any = None

        def context(tx: Tx) -> Context:
            return self._context(tx, entry, caller, request_id, now)

        def work(tx: Tx) -> Mapping[str, Any]:
            ctx = context(tx)
            ctx.prepared = prepared
            answer = entry.handler(ctx, request)
            if not ctx.touched:
                # No resource was asked for, so the operation must be allowed on all of them: deny by default.
                ctx.require("*")
            if not entry.reads:
                audit.record(
                    tx,
                    ctx.scope,
                    at=now,
                    principal=caller.principal.arn,
                    action=ctx.action,
                    request_id=request_id,
                    resources=ctx.touched,
                )
            return answer

        if entry.prepare is not None:
            prepare = entry.prepare
            prepared = await _outcome(state.store.submit_read(lambda tx: prepare(context(tx), request)))
        if entry.parts is not None:
            ahead = entry.parts
            await self._write_parts(lambda tx: ahead(context(tx), prepared))
        if entry.reads:
            return await _outcome(state.store.submit_read(work, short=entry.short))
        return await _outcome(state.store.submit_write(work))

    def _context(self, tx: Tx, entry: Entry, caller: OperatorCaller, request_id: str, now: datetime) -> Context:
        state = self._state
        return Context(
            tx=tx,
            now=now,
            ids=state.ids,
            principal=caller.principal,
            scope=Scope(account=caller.principal.account, region=caller.region),
            operation=entry.operation,
            action=f"{entry.service}:{entry.operation}",
            request_id=request_id,
            tokens=state.tokens,
            snapshot_urls=state.snapshot_urls,
            sealer=state.sealer,
            service=state.service,
        )

    async def _node_call(
        self,
        found: Door,
        operation: Operation,
        caller: Caller | None,
        request: Mapping[str, Any],
        address: str,
        left: Left,
    ) -> Mapping[str, Any]:
        node_id, run = _proven(found, operation, caller)
        state = self._state

        def context(tx: Tx) -> NodeContext:
            return node_context(state, tx, node_id=node_id, run=run, address=address)

        if found.ready is not None:
            await _while_there(self._park(found, f"node:{node_id}", context, request), left)
        prepared = None
        if found.prepare is not None:
            prepare = found.prepare
            prepared = await asyncio.wrap_future(state.store.submit_read(lambda tx: prepare(context(tx), request)))
            if found.parts is not None:
                parts = found.parts
                await self._write_parts(lambda tx: parts(context(tx), prepared))
        return await asyncio.wrap_future(
            state.store.submit_write(lambda tx: found.handle(context(tx), request, prepared))
        )

    async def _write_parts(self, parts: Callable[[Tx], Iterable[Callable[[Tx], None]]]) -> None:
        """One after the other, so that others' writes come in between."""
        for part in await asyncio.wrap_future(self._state.store.submit_read(lambda tx: list(parts(tx)))):
            await asyncio.wrap_future(self._state.store.submit_write(part))

    async def _park(self, found: Door, channel: str, context: Any, request: Mapping[str, Any]) -> None:
        """Wait until there is something to hand out, or the poll's time is over."""
        state, ready = self._state, found.ready
        if ready is None:
            return
        loop = asyncio.get_running_loop()
        # Spread over a second, so that polls parked together do not come back together.
        deadline = loop.time() + state.settings.poll_seconds + random.random()  # noqa: S311 - no secret
        event = state.waits.enter(channel)
        try:
            while not await asyncio.wrap_future(state.store.submit_read(lambda tx: ready(context(tx), request))):
                left = deadline - loop.time()
                if left <= 0 or state.waits.closing:
                    return
                try:
                    await asyncio.wait_for(event.wait(), min(left, RECHECK_SECONDS))
                except TimeoutError:
                    continue
                finally:
                    event.clear()
            await asyncio.sleep(COALESCE_SECONDS)
        finally:
            state.waits.leave(channel, event)


def _is_operators(operation: Operation, caller: Caller | None) -> bool:
    """Whether this call is for the operator's door. Some operations are at both: then the caller decides."""
    return isinstance(caller, OperatorCaller) and f"{operation.service}:{operation.name}" in registry.entries


async def _outcome(future: "Future[T]") -> T:
    """What the store's thread answers; what is there already is not waited for."""
    return future.result() if future.done() else await asyncio.wrap_future(future)


async def _while_there(parked: Coroutine[Any, Any, None], left: Left) -> None:
    """Wait for `parked` to end. Raises ClientDisconnect when the client goes first.

    What is handed to a poll whose client has died would be out of everybody's reach until it is offered again.
    """
    parking, leaving = asyncio.ensure_future(parked), asyncio.ensure_future(left())
    try:
        await asyncio.wait({parking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            raise ClientDisconnect
        parking.result()
    finally:
        parking.cancel()
        leaving.cancel()


def _proven(found: Door, operation: Operation, caller: Caller | None) -> tuple[str, Any]:
    """The node that the caller has proven to be, by the proof that this door asks for."""
    match found.proof, caller:
        case Proof.NOTHING, _:
            return "", None
        case Proof.NODE_KEY, NodeCaller(node_id=node_id, by_key=True):
            return node_id, None
        case Proof.NODE_SESSION, NodeCaller(node_id=node_id, by_key=False):
            return node_id, None
        case Proof.RUN_TOKEN, WorkerCaller(run=run):
            return run.node_id, run
    raise Refused(Kind.REQUEST, f"{operation.name} asks for another proof of identity ({found.proof}).")
