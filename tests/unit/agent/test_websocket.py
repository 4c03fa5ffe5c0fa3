"""Frames of the agent's WebSocket: whole, in pieces, and hostile. Source: RFC 6455 5."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright_agent import websocket
from patchwright_agent.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, ProtocolError, Reader

MASK = st.binary(min_size=4, max_size=4)


def server_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size, first = len(payload), (0x80 if final else 0) | opcode
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def read(data: bytes, cuts: list[int] | None = None, limit: int = 100_000) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    reader, start = Reader(limit), 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]:
        reader.feed(data[start:end], lambda opcode, payload: found.append((opcode, payload)))
        start = end
    return found


def test_the_handshake_of_the_rfc() -> None:
    assert websocket.accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_examples_of_the_rfc() -> None:
    assert websocket.encode(TEXT, b"Hello", b"\x37\xfa\x21\x3d").hex() == "818537fa213d7f9f4d5158"
    assert read(bytes.fromhex("810548656c6c6f")) == [(TEXT, b"Hello")]
    assert read(bytes.fromhex("010348656c80026c6f")) == [(TEXT, b"Hello")]
    assert read(bytes.fromhex("890548656c6c6f")) == [(PING, b"Hello")]


@given(payload=st.binary(max_size=70_000), mask=MASK)
def test_what_is_masked_twice_is_itself(payload: bytes, mask: bytes) -> None:
    once = websocket.masked(payload, mask)
    assert once == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    assert websocket.masked(once, mask) == payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_each_form_of_the_length(size: int) -> None:
    payload = bytes(size)
    assert read(server_frame(BINARY, payload)) == [(BINARY, payload)]
    ours = websocket.encode(BINARY, payload, b"\0\0\0\0")
    assert ours[1] & 0x80, "a client's frame is masked"
    assert ours.replace(b"\0\0\0\0", b"", 1) if size else True
    assert ours[-size:] == payload if size else True


@given(
    pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=6),
    pings=st.lists(st.binary(max_size=125), max_size=6),
    cuts=st.lists(st.integers(min_value=0), max_size=8),
)
def test_fragments_with_pings_between_them_in_any_pieces(
    pieces: list[bytes], pings: list[bytes], cuts: list[int]
) -> None:
    data = b""
    for index, piece in enumerate(pieces):
        opcode = BINARY if index == 0 else CONTINUATION
        data += server_frame(opcode, piece, final=index == len(pieces) - 1)
        if index < len(pings):
            data += server_frame(PING, pings[index])
    found = read(data, cuts)
    assert [payload for opcode, payload in found if opcode == BINARY] == [b"".join(pieces)]
    assert [payload for opcode, payload in found if opcode == PING] == pings[: len(pieces)]


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(min_value=0), max_size=5))
def test_any_bytes_are_read_or_refused(data: bytes, cuts: list[int]) -> None:
    try:
        found = read(data, cuts, limit=200)
    except ProtocolError as refusal:
        assert refusal.code in (1002, 1007, 1009)
    else:
        assert sum(len(payload) for _, payload in found) <= len(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x80\0\0\0\0", 1002),  # masked by a server
        (b"\xc2\x00", 1002),  # an extension's bit
        (b"\x83\x00", 1002),  # an opcode that nobody knows
        (b"\x09\x00", 1002),  # a fragmented ping
        (b"\x89\x7e\x00\x80", 1002),  # a long ping
        (b"\x80\x00", 1002),  # a continuation of nothing
        (b"\x02\x00\x82\x00", 1002),  # a message within a message
        (b"\x82\x7e\x00\x05", 1002),  # a length that is not the shortest
        (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1009),  # too large, refused by its header alone
        (server_frame(BINARY, bytes(150), final=False) + server_frame(CONTINUATION, bytes(51)), 1009),
        (server_frame(TEXT, b"\xff"), 1007),
    ],
)
def test_what_breaks_a_rule_ends_the_socket(data: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as refusal:
        read(data, limit=200)
    assert refusal.value.code == code


def test_close_codes() -> None:
    assert websocket.close_code(b"") == 1005
    assert websocket.close_code(struct.pack("!H", 4001) + b"replaced") == 4001
    for wrong in (b"\x03", struct.pack("!H", 1005), struct.pack("!H", 999), struct.pack("!H", 1000) + b"\xff"):
        with pytest.raises(ProtocolError):
            websocket.close_code(wrong)


def test_control_frames_of_ours_are_small() -> None:
    assert websocket.encode(PONG, b"x" * 125, b"\0\0\0\0")[1] & 0x7F == 125
    assert websocket.encode(CLOSE, websocket.close_payload(1000), b"\0\0\0\0")[0] == 0x88
