"""How a node opens its push channel: the answer to the POST, the token in it, the first frame.

Source: spec/agent-protocol.md 7.1.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from patchwright.wire.errors import ExpiredTokenError, UnrecognizedClientError
from patchwright.wire.tokens import InvalidTokenError, derive_key, seal, unseal

SIGNING_NAME = "ssmmessages"
CONTENT_TYPE = "application/xml"
TOKEN_LIFETIME = timedelta(minutes=1)
RANDOM_BYTES = 16
MAX_OPENING = 8_192
"""Characters of a node's first frame."""
REFUSED = "AccessDeniedException"
"""The one code after which the real agent polls instead, whatever was before. Source: agent-protocol.md 7.5."""


class BadOpeningError(ValueError):
    """A first frame that opens nothing."""


class ChannelTokens:
    """Makes and reads the tokens that join a POST to the WebSocket after it."""

    def __init__(self, master_key: bytes) -> None:
        self._key = derive_key(master_key, "control-channel")

    def issue(self, node_id: str, now: datetime, randomness: bytes) -> str:
        """A token for one opening by this node within TOKEN_LIFETIME; `randomness` is RANDOM_BYTES bytes of chance."""
        if len(randomness) != RANDOM_BYTES:
            raise ValueError(f"a channel's token takes {RANDOM_BYTES} random bytes")
        return seal(self._key, [node_id, int((now + TOKEN_LIFETIME).timestamp()), randomness.hex()])

    def read(self, token: str, node_id: str, now: datetime) -> str:
        """What makes this token differ from all others, if it is `node_id`'s and its time is not over.

        Raises UnrecognizedClientError or ExpiredTokenError.
        """
        try:
            owner, expires, once = unseal(self._key, token)
        except InvalidTokenError:
            raise UnrecognizedClientError from None
        if owner != node_id:
            raise UnrecognizedClientError
        if now.timestamp() >= expires:
            raise ExpiredTokenError
        return str(once)


def token_of_opening(text: str) -> str:
    """The token in a node's first frame. Raises BadOpeningError."""
    if len(text) > MAX_OPENING:
        raise BadOpeningError("the first frame is too long")
    try:
        opening: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise BadOpeningError("the first frame is not JSON") from wrong
    token = opening.get("TokenValue") if isinstance(opening, dict) else None
    if not isinstance(token, str):
        raise BadOpeningError("the first frame has no TokenValue")
    return token


def render_opened(token: str) -> bytes:
    """The body of the 201 that the agent waits for."""
    return (
        "<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion>"
        f"<TokenValue>{escape(token)}</TokenValue></CreateControlChannelResponse>"
    ).encode()


def render_refusal(code: str, message: str) -> bytes:
    """The body of an answer that opens nothing; `code` is a word of ours."""
    return f"<{code}><message>{escape(message)}</message></{code}>".encode()
