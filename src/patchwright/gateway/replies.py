"""Reading what a node says of its commands, on whichever road. Source: agent-protocol.md 9."""

import hashlib
from typing import Any

import msgspec

from patchwright.core.errors import Invalid, Kind

MAX_REPLY = 1_000_000
"""Characters; the real agent's replies have at most 120,000 bytes."""


def read_reply(payload: str) -> dict[str, Any]:
    """A reply's text as a JSON object, its members unchecked. Raises Invalid."""
    if len(payload) > MAX_REPLY:
        raise Invalid(Kind.REQUEST, f"A reply's payload has at most {MAX_REPLY} characters.")
    try:
        reply = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Invalid(Kind.REQUEST, "The reply's payload is not JSON.") from wrong
    if not isinstance(reply, dict):
        raise Invalid(Kind.REQUEST, "The reply's payload is not a JSON object.")
    return reply


def digest_of(message_id: str, payload: str) -> str:
    """The id of a reply that came without one."""
    return hashlib.sha256(f"{message_id} {payload}".encode()).hexdigest()
