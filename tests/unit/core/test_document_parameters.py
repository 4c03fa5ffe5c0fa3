"""Values of parameters against their definitions, and how they travel. Source: operations.md 2.2."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.documents_lab import value

from patchwright.core.document_parameters import check_parameters, delivered_parameters
from patchwright.core.documents import Document
from patchwright.core.errors import Invalid, Kind


def _document(**definition: Any) -> Document:
    return Document(name="d", version="1", content=value(parameters={"p": definition}))


@pytest.mark.parametrize(
    ("definition", "given_texts", "travels"),
    [
        ({"type": "String"}, ["a b"], "a b"),
        ({"type": "StringList"}, ["a", "b"], ["a", "b"]),
        ({"type": "StringList"}, [], []),
        ({"type": "Integer"}, ["-7"], -7),
        ({"type": "Boolean"}, ["True"], True),
        ({"type": "StringMap"}, ['{"a": "b"}'], {"a": "b"}),
        ({"type": "MapList"}, ['{"a": "b"}', "{}"], [{"a": "b"}, {}]),
        ({"type": "String", "default": "x"}, None, "x"),
        ({"type": "Integer", "default": 3}, None, 3),
    ],
)
def test_values_travel_by_their_declared_type(definition: dict[str, Any], given_texts: Any, travels: Any) -> None:
    document = _document(**definition)
    sent = {} if given_texts is None else {"p": given_texts}
    assert check_parameters(document, sent) == delivered_parameters(document, sent) == {"p": travels}


@pytest.mark.parametrize(
    ("definition", "given_texts", "reason"),
    [
        ({"type": "String"}, ["a", "b"], "exactly one value"),
        ({"type": "String"}, [], "exactly one value"),
        ({"type": "Integer"}, ["1.5"], "no integer"),
        ({"type": "Integer"}, ["9" * 19], "no integer"),
        ({"type": "Boolean"}, ["yes"], "neither true nor false"),
        ({"type": "StringMap"}, ["[]"], "JSON object"),
        ({"type": "StringMap"}, ["{" * 99], "JSON object"),
        ({"type": "StringList", "minItems": 2}, ["a"], "at least 2 values"),
        ({"type": "StringList", "maxItems": 1}, ["a", "b"], "at most 1 values"),
        ({"type": "String", "minChars": 2}, ["a"], "at least 2 characters"),
        ({"type": "String", "maxChars": 1}, ["ab"], "at most 1 characters"),
        ({"type": "StringList", "allowedValues": ["a"]}, ["a", "b"], "'b' is not one of a"),
        ({"type": "String", "allowedPattern": "[a-z]+"}, ["a1"], "does not match"),
        ({"type": "String", "allowedPattern": "[a-z]+"}, ["a\n"], "does not match"),
        ({"type": "String"}, ["{{ssm:x}}"], "parameter store"),
        ({"type": "StringList"}, ["x {{ ssm-secure:x:1 }}"], "parameter store"),
        ({"type": "String"}, ["\0"], "NUL"),
    ],
)
def test_values_that_are_refused(definition: dict[str, Any], given_texts: list[str], reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refusal:
        check_parameters(_document(**definition), {"p": given_texts})
    assert refusal.value.kind == Kind.PARAMETERS


def test_a_missing_and_an_unknown_parameter() -> None:
    with pytest.raises(Invalid, match="p of document d is required"):
        check_parameters(_document(type="String"), {})
    with pytest.raises(Invalid, match="no parameter named q"):
        check_parameters(_document(type="String", default=""), {"q": ["x"]})


def test_a_pattern_that_runs_away_is_stopped() -> None:
    before = time.process_time()
    with pytest.raises(Invalid, match="takes too long"):
        check_parameters(_document(type="String", allowedPattern="(a|aa)+"), {"p": ["a" * 60 + "!"]})
    assert time.process_time() - before < 2.0


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["String", "StringList", "Integer", "StringMap"]))
@settings(max_examples=200, deadline=None)
def test_any_texts_are_taken_as_they_are_or_refused(texts: list[str], kind: str) -> None:
    document = _document(type=kind)
    try:
        travels = check_parameters(document, {"p": texts})["p"]
    except Invalid as refusal:
        assert refusal.kind == Kind.PARAMETERS
        return
    expected = {"String": texts[:1], "StringList": [texts], "Integer": [*map(str, [travels])]}
    if kind == "Integer":
        assert int(texts[0]) == travels
    elif kind == "StringMap":
        assert json.loads(texts[0]) == travels
    else:
        assert travels == expected[kind][0]
