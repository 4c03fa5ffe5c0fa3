"""Parameters of documents: what the server checks, and where it puts them in, is what nodes do.

Source: agent-protocol.md 8, operations.md 2.2.
"""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from patchwright.core.document_content import check_content
from patchwright.core.document_parameters import check_parameters
from patchwright.core.document_references import put_in
from patchwright.core.documents import Document
from patchwright.core.errors import DomainError
from patchwright_agent.daemon.documents import resolve_parameters, substitute

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


_SMALL = st.integers(0, 3)
_WORDS = st.sampled_from(["", "a", "ab", "abc", "A", "1", "a b", "true", "-2", '{"a": "b"}', "{}"])
_DEFINITIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["String", "StringList", "Integer", "Boolean", "StringMap", "MapList"])},
    optional={
        "default": _WORDS | st.lists(_WORDS, max_size=2) | st.integers(-2, 2) | st.booleans() | st.just({}),
        "allowedValues": st.lists(_WORDS, max_size=3),
        "allowedPattern": st.sampled_from(["[a-z]*", "^[a-z]+$", "a|b", "(^$)|^a", r"\w*", "^a"]),
        "minChars": _SMALL,
        "maxChars": _SMALL,
        "minItems": _SMALL,
        "maxItems": _SMALL,
    },
)


@given(_DEFINITIONS, st.none() | st.lists(_WORDS, max_size=3))
@settings(max_examples=400, deadline=None)
def test_what_the_server_lets_through_no_node_refuses(
    definition: dict[str, Any], given_texts: list[str] | None
) -> None:
    """A command must not fail on its nodes for a value that SendCommand has accepted."""
    step = {"action": "aws:runShellScript", "name": "s", "inputs": {"runCommand": ["true"]}}
    text = json.dumps({"schemaVersion": "2.2", "parameters": {"p": definition}, "mainSteps": [step]})
    try:
        content = check_content(text, format="JSON", type="Command")
        document = Document(name="d", version="1", content=content)
        sent = check_parameters(document, {} if given_texts is None else {"p": given_texts})
    except DomainError:
        return  # no node gets to see it
    assert resolve_parameters(content["parameters"], sent) == sent
