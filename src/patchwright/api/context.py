"""What a handler is given: its transaction, the time, new ids, who calls, and paging."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from patchwright.core.access import Decision, Principal, may, may_all
from patchwright.core.approval import AptDelays
from patchwright.core.errors import Kind, Refused
from patchwright.core.values import Scope
from patchwright.flows.ports import Ids, Sealer
from patchwright.store.engine import Tx
from patchwright.wire.snapshot_urls import SnapshotUrls
from patchwright.wire.tokens import Tokens

Request = Mapping[str, Any]
"""A request parsed and validated by its shape: lists, dicts, str, int, bool, aware datetimes; absent members absent."""
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the server is, for handlers that must say so. Set once at start."""

    version: str
    first_account: str
    public_url: str
    ca_sha256: str
    agent_sha256: str
    apt_delays: AptDelays = "honour"
    fast_start: bool = False
    """Whether commands start on as many nodes as MaxConcurrency has at once."""
    catch_up_windows: bool = True
    """Whether a maintenance window whose start was missed begins late."""


@dataclass(slots=True, kw_only=True)
class Context:
    """One call of one operation by one principal."""

    tx: Tx
    now: datetime
    ids: Ids
    principal: Principal
    scope: Scope
    operation: str
    action: str
    request_id: str
    tokens: Tokens
    snapshot_urls: SnapshotUrls
    sealer: Sealer
    service: Service
    prepared: Any = None
    """What the operation's `prepare` made of the request, where it has one."""
    touched: list[str] = field(default_factory=list)
    """Resources that the audit row names."""

    def require(self, resource: str, tags: Mapping[str, str] | None = None, *, action: str | None = None) -> None:
        """Resource-level authorization: raises Refused unless the policy allows this action on `resource`.

        `action`: another one, which this call has done on the caller's behalf, now or later.
        """
        self.touched.append(resource)
        self._accept(may(self.principal, action or self.action, resource, tags), action or self.action, resource)

    def require_all(self, prefix: str, *, action: str) -> None:
        """The same for every resource whose ARN begins with `prefix`, whatever its tags."""
        self.touched.append(f"{prefix}*")
        self._accept(may_all(self.principal, action, prefix), action, f"{prefix}*")

    def _accept(self, decision: Decision, action: str, resource: str) -> None:
        if not decision.allowed:
            raise Refused(
                Kind.REQUEST,
                f"User: {self.principal.arn} is not authorized to perform: {action} "
                f"on resource: {resource} {decision.reason}",
            )

    def arn(self, resource: str) -> str:
        """`arn:aws:ssm:<region>:<account>:<resource>`."""
        return f"arn:aws:ssm:{self.scope.region}:{self.scope.account}:{resource}"

    def cursor(self, request: Request) -> Any | None:
        """The place that the request's NextToken stands for, or None. Raises Invalid(TOKEN) for a foreign one."""
        token = request.get("NextToken")
        if not token:
            return None
        return self.tokens.open_page(token, self.operation, self.scope.account, self.scope.region, request)

    def page(self, request: Request, cursor: Any | None) -> str | None:
        """The NextToken for `cursor` (a JSON value), bound to this operation and its filters; None ends the list."""
        if cursor is None:
            return None
        return self.tokens.seal_page(cursor, self.operation, self.scope.account, self.scope.region, request)
