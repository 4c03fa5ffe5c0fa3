"""The push channel's binary frames: a header of 116 bytes, a length, a payload of JSON. Pure.

Source: spec/agent-protocol.md 7.2; docs/reference/push-channel.md. Without `dataclasses` and `uuid`, for their memory.
"""

import hashlib
import json
import struct

from patchwright_agent.daemon.messages import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

JOB, JOB_ACK, REPLY, REPLY_ACK = "agent_job", "agent_job_ack", "agent_job_reply", "agent_job_reply_ack"
MAX_FRAME = 142000  # bytes of a frame of ours; the server takes 262,144
_HEADER = struct.Struct(">I32sIQqQ16s32sI")
_LENGTH = struct.Struct(">I")
_HEADER_BYTES, _VERSION = 116, 1


class BadFrame(ValueError):
    """Bytes that are no frame of this protocol."""


class Frame:
    """One frame that came: its type, its id as a UUID's text, its payload."""

    __slots__ = ("id", "kind", "payload")

    def __init__(self, kind: str, frame_id: str, payload: "Dict[str, Any]") -> None:
        self.kind = kind
        self.id = frame_id
        self.payload = payload


def encode(kind: str, frame_id: str, payload: "Dict[str, Any]", now: float) -> bytes:
    """A frame as it travels; `now` in epoch seconds."""
    raw_id = bytes.fromhex(frame_id.replace("-", ""))
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    digest, created = hashlib.sha256(body).digest(), max(int(now * 1000), 1)
    header = _HEADER.pack(
        _HEADER_BYTES, kind.ljust(32).encode("ascii"), _VERSION, created, 0, 0, raw_id[8:] + raw_id[:8], digest, 0
    )
    return header + _LENGTH.pack(len(body)) + body


def decode(data: bytes) -> Frame:
    """Read one frame; its length and digest must be right. Raises BadFrame."""
    start = _HEADER.size + _LENGTH.size
    if len(data) < start:
        raise BadFrame("a frame is shorter than its header")
    length, raw_kind, version, _, _, _, halves, digest, _ = _HEADER.unpack_from(data)
    body = data[start:]
    if length != _HEADER_BYTES or version != _VERSION:
        raise BadFrame("a frame has another header or version than is known")
    if _LENGTH.unpack_from(data, _HEADER.size)[0] != len(body) or hashlib.sha256(body).digest() != digest:
        raise BadFrame("a frame's length or digest is wrong")
    try:
        kind = raw_kind.rstrip(b" \x00").decode("ascii")
        payload = parse_object(body.decode("utf-8"))
    except ValueError:
        raise BadFrame("a frame's type or payload can't be read")
    digits = (halves[8:] + halves[:8]).hex()
    return Frame(kind, "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])), payload)
