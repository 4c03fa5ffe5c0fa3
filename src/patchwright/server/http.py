"""The edge: read, verify, parse, dispatch, render. Order of checks: operations.md 1.4 (10)."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from patchwright.api.errors import code_of
from patchwright.core.errors import DomainError
from patchwright.server.authenticate import Authenticator, OperatorCaller
from patchwright.server.dispatch import Dispatcher
from patchwright.server.limits import RateLimit
from patchwright.server.state import State
from patchwright.server.telemetry import Telemetry
from patchwright.store.engine import StoreUnavailable
from patchwright.wire import render, sts
from patchwright.wire.canonical import SignedRequest
from patchwright.wire.errors import InternalServerError, WireError
from patchwright.wire.model import Operation, UnknownOperation
from patchwright.wire.parse import parse_request, refuse_nul

log = logging.getLogger(__name__)

MAX_BODY = 1_048_576
MAX_FACTS_BODY = 33_554_432
"""A report of 65,535 packages has about 10 MB; operators' requests never come near their own limit."""
MAX_DRAINED = 67_108_864
MAX_ITEMS_BODY = 16_777_216
"""Items of 8 Mi characters and what frames them; one that is larger than that hears so by the operation's own error."""
MAX_PLAN_BODY = 8_388_608
"""Closures that name 75,000 packages. Those of 250 targets, tried one after the other, name 31,000 co-targets."""
LIMITS = {
    "Patchwright.PutFacts": MAX_FACTS_BODY,
    "Patchwright.ReportFacts": MAX_FACTS_BODY,
    "Patchwright.SettlePlan": MAX_PLAN_BODY,
    "Patchwright.PutOverride": MAX_PLAN_BODY,
    "AmazonSSM.PutInventory": MAX_ITEMS_BODY,
    "AmazonSSM.PutComplianceItems": MAX_ITEMS_BODY,
}
"""Operations whose requests may be larger than MAX_BODY."""


class BodyTooLarge(WireError):
    """The body exceeds what its operation may need; nothing of it was read further."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "RequestEntityTooLargeException", f"The request body exceeds {limit} bytes; nothing was done.", 413
        )


class Edge:
    """POST /: every operation of every service."""

    def __init__(self, state: State, telemetry: Telemetry, authenticator: Authenticator) -> None:
        self._state = state
        self._telemetry = telemetry
        self._authenticator = authenticator
        self._dispatcher = Dispatcher(state)
        self._registrations = RateLimit(burst=60, per_second=5.0)

    async def post(self, request: Request) -> Response:
        """Answer one call; every answer carries its request id."""
        started = time.perf_counter()
        request_id = self._state.ids.uuid()
        target = request.headers.get("x-amz-target", "")
        operation = self._state.models.lookup(target)
        form = not target and sts.REQUEST_CONTENT_TYPE in request.headers.get("content-type", "")
        try:
            response = await (self._sts(request, request_id) if form else self._call(request, operation, request_id))
            code = "OK"
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as failure:
            error = self._wire_error(failure, operation, request_id)
            code = error.code
            response = self._error(error, operation, request_id, form=form)
        response.headers["x-amzn-RequestId"] = request_id
        name = operation.name if isinstance(operation, Operation) else ("GetCallerIdentity" if form else "Unknown")
        self._telemetry.called(name, code, time.perf_counter() - started)
        return response

    async def _call(self, request: Request, operation: Operation | UnknownOperation, request_id: str) -> Response:
        limit = LIMITS.get(operation.target, MAX_BODY)
        signed = await read_signed(request, limit)
        now = self._state.clock.now()
        address = request.client.host if request.client else ""
        caller = None
        if isinstance(operation, Operation) and self._dispatcher.may_be_unsigned(operation):
            self._registrations.take(address, time.monotonic())
        else:
            caller = await self._authenticator.caller(signed, operation.service, now)
        if isinstance(operation, UnknownOperation):
            raise operation.error()
        self._dispatcher.authorize(operation, caller)
        if len(signed.body) <= MAX_BODY:
            values = parse_request(operation, signed.body)
        else:
            # Half a second of work at worst: the others' calls go on meanwhile.
            values = await asyncio.to_thread(parse_request, operation, signed.body)
        if isinstance(caller, OperatorCaller):
            refuse_nul(signed.body, values)
        answer = await self._dispatcher.run(operation, caller, values, request_id, address, lambda: _left(request))
        return Response(
            render.render_output(operation.output, answer, strict=self._telemetry.strict),
            media_type=render.CONTENT_TYPE,
        )

    async def _sts(self, request: Request, request_id: str) -> Response:
        signed = await read_signed(request, sts.MAX_BODY)
        caller = await self._authenticator.caller(signed, sts.SIGNING_NAME, self._state.clock.now())
        sts.parse_call(signed.body)
        if isinstance(caller, OperatorCaller):
            who = caller.principal
            body = sts.render_identity(
                arn=who.arn, user_id=who.access_key_id, account=who.account, request_id=request_id
            )
            return Response(body, media_type=sts.CONTENT_TYPE)
        raise WireError("AccessDeniedException", "Only users have a caller identity here.", 403)

    def _wire_error(self, failure: Exception, operation: Operation | UnknownOperation, request_id: str) -> WireError:
        declared: Mapping[str, Any] = operation.errors if isinstance(operation, Operation) else {}
        match failure:
            case WireError() if failure.code == "InvalidNextToken" and failure.code not in declared:
                return WireError("ValidationException", failure.message)
            case WireError():
                return failure
            case DomainError():
                members = {"TypeName": failure.id} if failure.id else None
                return WireError(code_of(failure, declared), failure.message, members=members)
            case StoreUnavailable():
                log.error("request %s: %s", request_id, failure)
                return WireError(
                    "ServiceUnavailable",
                    "The server can't keep anything right now; nothing was changed. Try again.",
                    503,
                )
        log.error("request %s failed", request_id, exc_info=failure)
        return InternalServerError(request_id)

    def _error(
        self, error: WireError, operation: Operation | UnknownOperation, request_id: str, *, form: bool
    ) -> Response:
        if form:
            status, body = sts.render_error(error, request_id)
            return Response(body, status_code=status, media_type=sts.CONTENT_TYPE)
        known = self._state.models.errors_of(operation) if isinstance(operation, Operation) else {}
        rendered = render.render_error(error, known, error.members)
        return Response(
            rendered.body,
            # A status that the edge chose (413, 501, 503) stands; a modelled one is the model's.
            status_code=error.status if error.status not in (400, 500) else rendered.status,
            headers=dict(rendered.headers),
        )


async def _left(request: Request) -> None:
    """Come back once the client is gone. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def read_signed(request: Request, limit: int) -> SignedRequest:
    """The request as it was signed, its body read up to `limit` bytes.

    A body somewhat too large is read to its end and thrown away, so that its sender hears the refusal; most clients
    report a broken connection otherwise.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > MAX_DRAINED:
        raise BodyTooLarge(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_DRAINED:
            raise BodyTooLarge(limit)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > limit:
        raise BodyTooLarge(limit)
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    return SignedRequest.of(
        request.method,
        path.decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        scope["headers"],
        b"".join(chunks),
    )
