"""Parameters in the steps: the server, which looks for nested documents, puts them in as nodes do.

Source: agent-protocol.md 8, operations.md 2.2.
"""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from patchwright.core.document_references import put_in
from patchwright_agent.daemon.documents import substitute

_NAMES = st.sampled_from(["a", "b", "list", "ssm:x", "no.one"])
_PIECES = st.sampled_from(
    ["{{ a }}", "{{b}}", "{{ list }}", "{{nobody}}", "{{", "}}", " ", "$x", "echo ", "{{ a", "\n"]
)
_TEXTS = st.lists(_PIECES | st.text(max_size=5), max_size=5).map("".join)
_STEPS = st.recursive(
    _TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
_VALUES = st.dictionaries(_NAMES, _TEXTS | st.integers() | st.lists(_TEXTS, max_size=3), max_size=4)


@given(_STEPS, _VALUES)
@settings(max_examples=300, deadline=None)
@example(["{{ list }}", "x {{ list }}"], {"list": ["1", "{{ a }}"], "a": "no"})
def test_server_and_node_put_parameters_in_alike(step: Any, values: dict[str, Any]) -> None:
    assert put_in(step, values) == substitute(step, values)


@given(_TEXTS)
@settings(max_examples=200, deadline=None)
def test_what_a_value_brings_along_is_not_read_again(value: str) -> None:
    """A value with braces stays as it is: nobody reaches another parameter through one's own."""
    assert put_in("x {{ a }} y {{b}}", {"a": value, "b": "own"}) == f"x {value} y own"
    assert put_in(["{{ a }}"], {"a": value, "b": "own", "list": ["z"]}) == [value]


@given(st.lists(st.text(max_size=6), max_size=5))
@settings(deadline=None)
def test_a_list_is_spliced_among_elements_and_json_within_a_text(words: list[str]) -> None:
    assert put_in(["first", "{{ l }}", "last"], {"l": words}) == ["first", *words, "last"]
    assert put_in("{{ l }}", {"l": words}) == words
    assert put_in("x={{ l }}", {"l": words}) == "x=" + json.dumps(words, ensure_ascii=False)
