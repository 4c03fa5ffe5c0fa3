"""The binary frames of the push channel: a header of 116 bytes, a length, a payload.

Pure: bytes <-> checked values. What a payload means is for others to say. Source: spec/agent-protocol.md 7.2.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from uuid import UUID

HEADER_BYTES = 116
"""What the header's length field says; the payload's length follows the header and is not counted in it."""
SCHEMA_VERSION = 1
KIND_BYTES = 32
MAX_FRAME = 262_144
"""Bytes of a frame from a node; the real agent sends none above 142,000."""
_HEADER = struct.Struct(">I32sIQqQ16s32sI")
_LENGTH = struct.Struct(">I")


class BadFrameError(ValueError):
    """Bytes that are no frame of this protocol; the message says why, and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. `kind` is the message type; `created` is in milliseconds since the epoch, never 0."""

    kind: str
    id: UUID
    created: int
    payload: bytes
    sequence: int = 0
    flags: int = 0
    payload_type: int = 0


def encode(frame: Frame) -> bytes:
    """The frame as it travels. Raises ValueError for a kind or a number that does not fit its field."""
    kind = frame.kind.encode("ascii")
    if not 0 < len(kind) <= KIND_BYTES:
        raise ValueError(f"a message type has 1 to {KIND_BYTES} characters")
    if frame.created <= 0:
        raise ValueError("a frame needs the time at which it was made")
    try:
        header = _HEADER.pack(
            HEADER_BYTES,
            kind.ljust(KIND_BYTES),
            SCHEMA_VERSION,
            frame.created,
            frame.sequence,
            frame.flags,
            _swapped(frame.id.bytes),
            hashlib.sha256(frame.payload).digest(),
            frame.payload_type,
        )
        return header + _LENGTH.pack(len(frame.payload)) + frame.payload
    except struct.error as wrong:
        raise ValueError(f"a number does not fit the frame: {wrong}") from wrong


def decode(data: bytes) -> Frame:
    """Read one frame; its digest and its length must be right. Raises BadFrameError."""
    if not HEADER_BYTES + _LENGTH.size <= len(data) <= MAX_FRAME:
        raise BadFrameError(f"a frame has {HEADER_BYTES + _LENGTH.size} to {MAX_FRAME} bytes, not {len(data)}")
    length, raw_kind, version, created, sequence, flags, raw_id, digest, payload_type = _HEADER.unpack_from(data)
    if length != HEADER_BYTES:
        raise BadFrameError(f"a frame's header has {HEADER_BYTES} bytes")
    if version != SCHEMA_VERSION:
        raise BadFrameError(f"frames of version {SCHEMA_VERSION} are read")
    if not 0 < created < 1 << 63:
        raise BadFrameError("a frame needs the time at which it was made")
    payload = data[HEADER_BYTES + _LENGTH.size :]
    if _LENGTH.unpack_from(data, HEADER_BYTES)[0] != len(payload):
        raise BadFrameError("the payload's length is not what the frame says")
    if hashlib.sha256(payload).digest() != digest:
        raise BadFrameError("the payload's digest is not what the frame says")
    kind = raw_kind.rstrip(b" \x00")
    if not kind or any(not 0x21 <= byte <= 0x7E for byte in kind):
        raise BadFrameError("a message type is one word of ASCII")
    return Frame(
        kind=kind.decode("ascii"),
        id=UUID(bytes=_swapped(raw_id)),
        created=created,
        payload=payload,
        sequence=sequence,
        flags=flags,
        payload_type=payload_type,
    )


def _swapped(sixteen: bytes) -> bytes:
    """A UUID's two halves change places on the wire."""
    return sixteen[8:] + sixteen[:8]
