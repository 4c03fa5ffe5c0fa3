"""JSON and YAML from outside: what they mean, and that hostile ones are refused at once."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.core.structured_text import MAX_DEPTH, Unreadable, parse_json, parse_yaml, to_json, to_yaml

_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    ["yes", "null", "~", "010", "1e5", "2026-01-01", "1:30", "0x1F", "<<", "=", "- a", "a: b", " lead", "end ", "\n"]
)
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_again(value: object) -> None:
    assert parse_json(to_json(value)) == value
    assert parse_yaml(to_yaml(value)) == value


def test_plain_scalars_mean_what_they_mean_in_json() -> None:
    text = "a: yes\nb: 2026-01-01\nc: 010\nd: 1.5\ne: 7\nf: true\ng: ~\nh:\ni: '7'\nj: 2.2.2\nk: on\n"
    assert parse_yaml(text) == {
        "a": "yes", "b": "2026-01-01", "c": "010", "d": 1.5, "e": 7, "f": True, "g": None, "h": None, "i": "7",
        "j": "2.2.2", "k": "on",
    }  # fmt: skip


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_BOMB, "anchors and aliases"),
        ("base: &b {x: 1}\nown: {<<: *b}", "anchors and aliases"),
        ("<<: {a: 1}", "merge keys"),
        ("!!python/object/apply:os.system [id]", "tags"),
        ("a: !!binary aGk=", "tags"),
        ("a: 1\na: 2", "twice"),
        ("? [a]\n: b", "key is not a text"),
        ("a\n---\nb", "more than one"),
        ("", "empty"),
        ("a: b: c", "line 1, column 5"),
        ('a: "\\0"', "NUL"),
        ("a: \x00", "NUL"),
        ("a: \ud800", "half of a character"),
        ("[" * 30_000, "nested"),
        ("- " * 30_000 + "x", "nested"),
        ("{a: " * 15_000, "nested"),
        ("[" + "1," * 200_000 + "]", "more than 100000 values"),
        ("9" * 19, "too large"),
    ],
)
def test_yaml_that_is_refused_at_once(text: str, reason: str) -> None:
    before = time.process_time()
    with pytest.raises(Unreadable, match=reason):
        parse_yaml(text)
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested"),
        ('{"a": 1, "a": 2}', "twice"),
        ("NaN", "NaN"),
        ("1" * 5_000, "too large"),
        ("1" * 20, "too large"),
        ("1e999", "too large"),
        ('"\\ud800"', "half of a character"),
        ('"\\u0000"', "NUL"),
        ('{"a": 1,}', "line 1, column 9"),
    ],
)
def test_json_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        parse_json(text)
