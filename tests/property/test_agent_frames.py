"""The push channel's frames: the published vector, any frame there and back, and hostile bytes."""

import struct
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.wire.agent_frames import MAX_FRAME, BadFrameError, Frame, decode, encode

VECTOR = bytes.fromhex(  # agent-protocol.md 7.2
    "00000074 6167656e745f6a6f622020202020202020202020202020202020202020202020"
    "00000001 0000018bcfe56800 0000000000000000 0000000000000000"
    "8899aabbccddeeff0011223344556677"
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    "00000000 00000002 7b7d".replace(" ", "")
)
VECTOR_FRAME = Frame(
    kind="agent_job", id=UUID("00112233-4455-6677-8899-aabbccddeeff"), created=1_700_000_000_000, payload=b"{}"
)
FRAMES = st.builds(
    Frame,
    kind=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=32),
    id=st.uuids(),
    created=st.integers(1, 2**63 - 1),
    payload=st.binary(max_size=300),
    sequence=st.integers(-(2**63), 2**63 - 1),
    flags=st.integers(0, 2**64 - 1),
    payload_type=st.integers(0, 2**32 - 1),
)
quick = settings(max_examples=150, deadline=None, derandomize=True)


def test_the_published_vector() -> None:
    assert encode(VECTOR_FRAME) == VECTOR
    assert decode(VECTOR) == VECTOR_FRAME


@quick
@given(FRAMES)
def test_a_frame_comes_back_as_it_went(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


def test_a_kind_may_be_padded_with_nul() -> None:
    assert decode(VECTOR.replace(b" " * 23, b"\x00" * 23)).kind == "agent_job"


@quick
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        frame = decode(data)
    except BadFrameError:
        return
    assert decode(encode(frame)) == frame


@quick
@given(FRAMES, st.data())
def test_no_changed_byte_passes_for_the_same_frame(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(encode(frame))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode(bytes(whole)) != frame
    except BadFrameError:
        return


def _patched(at: int, value: bytes) -> bytes:
    return VECTOR[:at] + value + VECTOR[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "bytes"),
        (VECTOR[:119], "bytes"),
        (VECTOR + b" ", "length"),
        (VECTOR[:-1], "length"),
        (_patched(0, struct.pack(">I", 120)), "header"),
        (_patched(36, struct.pack(">I", 2)), "version"),
        (_patched(40, bytes(8)), "time"),
        (_patched(40, b"\xff" * 8), "time"),
        (_patched(80, sha256(b"[]").digest()), "digest"),
        (_patched(4, b" " * 32), "type"),
        (_patched(4, b"agent job"), "type"),
        (_patched(4, b"\xe9gent_job"), "type"),
        (VECTOR[:116] + struct.pack(">I", MAX_FRAME) + bytes(MAX_FRAME), "bytes"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(data: bytes, word: str) -> None:
    with pytest.raises(BadFrameError, match=word):
        decode(data)


@pytest.mark.parametrize("wrong", [{"kind": ""}, {"kind": "x" * 33}, {"kind": "é"}, {"created": 0}, {"flags": -1}])
def test_what_fits_no_frame_is_not_encoded(wrong: dict[str, object]) -> None:
    values = {"kind": "agent_job", "id": VECTOR_FRAME.id, "created": 1, "payload": b"", **wrong}
    with pytest.raises(ValueError):
        encode(Frame(**values))  # type: ignore[arg-type]
