"""Calls operations the way the edge does: parsed and rendered by the real models, in one transaction, fixed clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.unit.counting import CountingIds

import patchwright.api.activations
import patchwright.api.baselines
import patchwright.api.document_list
import patchwright.api.document_shares
import patchwright.api.documents
import patchwright.api.patch_groups
import patchwright.api.tags  # noqa: F401  importing the modules registers their handlers
from patchwright.api.context import Context, Service
from patchwright.api.errors import code_of
from patchwright.api.registry import registry
from patchwright.core.access import ADMIN, Principal, parse_policy
from patchwright.core.errors import DomainError
from patchwright.core.values import Scope
from patchwright.server.secrets import Sealer
from patchwright.store.engine import Engine, Tx
from patchwright.wire.errors import WireError
from patchwright.wire.model import Models, Operation
from patchwright.wire.parse import parse_request
from patchwright.wire.render import render_output
from patchwright.wire.snapshot_urls import SnapshotUrls
from patchwright.wire.tokens import Tokens

SERVICE = Service(
    version="0", first_account="000000000001", public_url="http://127.0.0.1:8484", ca_sha256="", agent_sha256=""
)
MAX_PAGES = 100


class AnswerError(Exception):
    """What a client would see of an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Api:
    """One account's administrator on a store; `now` is set by hand. `api("GetPatchBaseline", BaselineId=…)`."""

    def __init__(self, store: Engine, models: Models) -> None:
        self.store = store
        self.models = models
        self.now = datetime(2026, 1, 10, 12, tzinfo=UTC)
        self.scope = Scope(account="000000000001", region="local-1")
        self.ids = CountingIds()
        self.policy: Any = ADMIN
        self.touched: list[str] = []

    def __call__(self, name: str, **members: Any) -> dict[str, Any]:
        operation = self.models.lookup(f"{self._prefix(name)}.{name}")
        assert isinstance(operation, Operation)
        try:
            request = parse_request(operation, msgspec.json.encode(members))
            answer = self._run(operation, request)
        except WireError as error:
            raise AnswerError(error.code, error.message) from error
        except DomainError as error:
            raise AnswerError(code_of(error, operation.errors), error.message) from error
        rendered: dict[str, Any] = msgspec.json.decode(render_output(operation.output, answer))
        return rendered

    def pages(self, name: str, **members: Any) -> Iterator[dict[str, Any]]:
        """Every page of a listing."""
        token = None
        for _ in range(MAX_PAGES):
            answer = self(name, **members, **({} if token is None else {"NextToken": token}))
            yield answer
            token = answer.get("NextToken")
            if token is None:
                return
        raise AssertionError(f"{name} did not end")

    def _prefix(self, name: str) -> str:
        """The door of an operation: our own, or the vendor's."""
        return "Patchwright" if name in self.models.services["Patchwright"].operations else "AmazonSSM"

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def _run(self, operation: Operation, request: dict[str, Any]) -> dict[str, Any]:
        entry = registry.entries[f"{operation.service}:{operation.name}"]

        def work(tx: Tx) -> dict[str, Any]:
            ctx = Context(
                tx=tx,
                now=self.now,
                ids=self.ids,
                scope=self.scope,
                operation=operation.name,
                principal=Principal(
                    account=self.scope.account,
                    user_name="ann",
                    access_key_id="AKIA1",
                    statements=parse_policy(self.policy),
                ),
                action=f"{operation.service}:{operation.name}",
                request_id="r",
                tokens=Tokens(b"k" * 32),
                sealer=Sealer(b"k" * 32),
                snapshot_urls=SnapshotUrls(b"k" * 32, SERVICE.public_url),
                service=SERVICE,
            )
            answer = entry.handler(ctx, request)
            if not ctx.touched:
                ctx.require("*")
            self.touched = ctx.touched
            return answer

        return self.store.read(work) if entry.reads else self.store.write(work)
