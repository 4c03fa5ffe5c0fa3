"""Credentials that the server issues and need not remember: a node's temporary keys, and the tokens of runs.

Both describe themselves and are sealed, so that any process can check them after a restart; a node would be locked out
for half their lifetime otherwise. Source: spec/agent-protocol.md 4.2 and 15 (3), design decisions 2 and 23.
"""

from __future__ import annotations

import hmac
from base64 import b32encode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from patchwright.wire.errors import ExpiredTokenError, UnrecognizedClientError
from patchwright.wire.tokens import InvalidTokenError, derive_key, seal, unseal

RANDOM_BYTES = 10
"""Chance that an access key id needs: 16 characters of 5 bits."""

SESSION_PREFIX = "pwn1."
RUN_PREFIX = "pwr1."


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCredentials:
    """A temporary key triple for one node, and when it ends (aware UTC, whole seconds)."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSession:
    """Who a session token is for. The secret of its key is derived, never stored."""

    node_id: str
    access_key_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToken:
    """What a run token allows: to report one step of one command on one node, until it ends."""

    node_id: str
    command_id: str
    step: str
    expires_at: datetime


class NodeKeys:
    """Issues and recognises the temporary credentials of nodes."""

    def __init__(self, master_key: bytes) -> None:
        self._session_key = derive_key(master_key, "node-session")
        self._secret_key = derive_key(master_key, "node-secret")

    def issue(self, node_id: str, now: datetime, lifetime: timedelta, randomness: bytes) -> NodeCredentials:
        """New credentials for a node; `randomness` is RANDOM_BYTES bytes of chance."""
        if len(randomness) != RANDOM_BYTES:
            raise ValueError(f"an access key id takes {RANDOM_BYTES} random bytes")
        access_key_id = "ASIA" + b32encode(randomness).decode("ascii")
        expires_at = _whole(now + lifetime)
        content = [node_id, access_key_id, int(expires_at.timestamp())]
        return NodeCredentials(
            access_key_id=access_key_id,
            secret_access_key=self.secret(access_key_id),
            session_token=SESSION_PREFIX + seal(self._session_key, content),
            expires_at=expires_at,
        )

    def secret(self, access_key_id: str) -> str:
        """The secret of an issued key: 40 characters, as the service's own."""
        return b64encode(hmac.digest(self._secret_key, access_key_id.encode(), "sha256")[:30]).decode("ascii")

    def read(self, session_token: str, access_key_id: str, now: datetime) -> NodeSession:
        """Whose session a token is, if it belongs to `access_key_id`.

        Raises UnrecognizedClientError for a token that is not ours or of another key, ExpiredTokenError when over.
        """
        try:
            content = _unsealed(SESSION_PREFIX, self._session_key, session_token)
        except InvalidTokenError:
            raise UnrecognizedClientError from None
        node_id, bound_to, expires = content
        session = NodeSession(node_id=node_id, access_key_id=bound_to, expires_at=datetime.fromtimestamp(expires, UTC))
        if not hmac.compare_digest(bound_to.encode(), access_key_id.encode()):
            raise UnrecognizedClientError
        if now >= session.expires_at:
            raise ExpiredTokenError
        return session


class RunTokens:
    """Issues and recognises the tokens with which a worker proves which invocation it works for."""

    def __init__(self, master_key: bytes) -> None:
        self._key = derive_key(master_key, "run-token")

    def issue(self, node_id: str, command_id: str, step: str, expires_at: datetime) -> str:
        """A run token, valid until `expires_at` (the command's own end, so that it survives a reboot)."""
        return RUN_PREFIX + seal(self._key, [node_id, command_id, step, int(_whole(expires_at).timestamp())])

    def read(self, token: str, now: datetime) -> RunToken:
        """What a run token is for. Raises UnrecognizedClientError if it is not ours, ExpiredTokenError when over."""
        try:
            node_id, command_id, step, expires = _unsealed(RUN_PREFIX, self._key, token)
        except InvalidTokenError:
            raise UnrecognizedClientError from None
        run = RunToken(
            node_id=node_id, command_id=command_id, step=step, expires_at=datetime.fromtimestamp(expires, UTC)
        )
        if now >= run.expires_at:
            raise ExpiredTokenError
        return run


def bearer_token(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer <token>` header, None if the header is something else."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _unsealed(prefix: str, key: bytes, token: str) -> list[Any]:
    if not token.startswith(prefix):
        raise InvalidTokenError
    content: list[Any] = unseal(key, token.removeprefix(prefix))
    return content


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
