"""A client's end of a WebSocket: frames read and written. Pure: bytes in, bytes out. Source: RFC 6455.

No extension and no sub-protocol. What comes is bounded, and whatever breaks a rule ends the socket.
"""

import base64
import hashlib
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, TOO_BIG = 1000, 1002, 1009
MAX_MESSAGE = 4 * 1024 * 1024  # an order is 1 MiB of text at most, which JSON may make longer
MAX_CONTROL = 125
_KEY_BYTES, _MASK_BYTES = 16, 4
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


class ProtocolError(Exception):
    """The other end broke a rule; `code` is what the socket is to be closed with."""

    def __init__(self, reason: str, code: int = PROTOCOL_ERROR) -> None:
        Exception.__init__(self, reason)
        self.code = code


def new_key(random: bytes) -> str:
    """Sec-WebSocket-Key of 16 random bytes."""
    return base64.b64encode(random[:_KEY_BYTES]).decode("ascii")


def accept_of(key: str) -> str:
    """What Sec-WebSocket-Accept has to be for this key. Source: RFC 6455 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest()).decode("ascii")  # noqa: S324


def encode(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One whole message as a client sends it: final, masked with these four random bytes."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload XORed with the mask over and over, as one large number: quick without a loop over bytes."""
    size = len(payload)
    if not size:
        return b""
    stretched = (mask * (size // _MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")


def close_payload(code: int) -> bytes:
    return struct.pack("!H", code)


def close_code(payload: bytes) -> int:
    """The code in a close frame; 1005 for none. Raises ProtocolError."""
    if not payload:
        return 1005
    code = struct.unpack_from("!H", payload)[0] if len(payload) >= 2 else 0
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise ProtocolError("a close frame has a code that may not be sent")
    _text(payload[2:])
    return int(code)


class Reader:
    """Takes bytes as they come, in whatever pieces, and gives messages and control frames in order."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max_message = max_message
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = 0  # of the message whose fragments are coming; 0 for none

    def feed(self, data: bytes, handle: "Callable[[int, bytes], None]") -> None:
        """Call `handle(opcode, payload)` for each message or control frame that is complete. Raises ProtocolError."""
        self._buffer += data
        while True:
            frame = self._frame()
            if frame is None:
                return
            done = self._joined(*frame)
            if done is not None:
                handle(*done)

    def _frame(self) -> "Optional[Tuple[bool, int, bytes]]":
        """The next whole frame: final, opcode, payload. A frame that is refused is refused by its header alone."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        final, opcode, size, start = bool(first & 0x80), first & 0x0F, second & 0x7F, 2
        if first & 0x70:
            raise ProtocolError("a frame uses an extension that was not agreed on")
        if second & 0x80:
            raise ProtocolError("a server's frame is masked")
        if opcode in (CLOSE, PING, PONG):
            if not final or size > MAX_CONTROL:
                raise ProtocolError("a control frame is fragmented or too long")
        elif opcode not in (CONTINUATION, TEXT, BINARY):
            raise ProtocolError("a frame has an unknown opcode")
        elif (opcode == CONTINUATION) != bool(self._opcode):
            raise ProtocolError("a fragment without its message, or a message within another")
        if size >= 126:
            form, least = ("!H", 126) if size == 126 else ("!Q", 1 << 16)
            start += struct.calcsize(form)
            if len(buffer) < start:
                return None
            size = struct.unpack_from(form, buffer, 2)[0]
            if size < least:
                raise ProtocolError("a frame's length is not in its shortest form")
        if opcode < CLOSE and len(self._message) + size > self._max_message:
            raise ProtocolError("a message is larger than %d bytes" % self._max_message, TOO_BIG)
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        del buffer[: start + size]
        return final, opcode, payload

    def _joined(self, final: bool, opcode: int, payload: bytes) -> "Optional[Tuple[int, bytes]]":
        if opcode >= CLOSE:
            return opcode, payload
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._message += payload  # one buffer, since a million tiny fragments would be a long list
        if not final:
            return None
        whole, kind = bytes(self._message), self._opcode
        self._message, self._opcode = bytearray(), 0
        if kind == TEXT:
            _text(whole)
        return kind, whole


def _text(payload: bytes) -> None:
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("a text is not UTF-8", 1007)
