"""What a new document may hold, and how it is refused. Source: operations.md 2.1 to 2.4."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.documents_lab import SHELL, YAML, text, value

from patchwright.core.document_content import MAX_CONTENT, check_content
from patchwright.core.documents import Document, execution_seconds, runs_on
from patchwright.core.errors import DomainError, Invalid, Kind, LimitExceeded


def _check(content: str, *, format: str = "JSON", type: str = "Command") -> dict[str, Any]:
    return check_content(content, format=format, type=type)


def _refusal(content: str, **more: str) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        _check(content, **more)
    return refusal.value


def _step(**changes: Any) -> str:
    return text(mainSteps=[{**SHELL, **changes}])


def _inputs(action: str, **inputs: Any) -> str:
    return text(mainSteps=[{"action": action, "name": "one", "inputs": inputs}])


def _parameter(**definition: Any) -> str:
    return text(parameters={"word": {"type": "String", **definition}})


ACCEPTED = {
    "JSON": text(),
    "no parameters": text(parameters=None),
    "schema 2.0": text(schemaVersion="2.0"),
    "settings beside inputs": _step(onFailure="successAndExit", onSuccess="exit", finallyStep=True, maxAttempts=1),
    "settings among inputs": _step(inputs={"runCommand": ["true"], "onFailure": "exit", "finallyStep": "true"}),
    "a precondition by parameter": _step(precondition={"StringEquals": ["{{ word }}", "hello"]}),
    "unknown braces are literal": _step(inputs={"runCommand": ["echo {{ nobody }} ${x}"]}),
    "patterns of the vendor's": text(
        parameters={
            f"p{n}": {"type": "String", "allowedPattern": pattern}
            for n, pattern in enumerate(
                (
                    r"(^$)|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$",
                    "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
                    r"true$|^\{\{[^(]+\}\}$|[](]?",
                    r"^[a-zA-Z0-9_\-.]{3,128}$|^\(?[{(]+\)?$|(?P<name>x)(?:y){2,}",
                )
            )
        }
    ),
    "one line": _step(inputs={"runCommand": "true"}),
    "lines by parameter": text(
        parameters={"lines": {"type": "StringList", "minItems": 1}},
        mainSteps=[{**SHELL, "inputs": {"runCommand": "{{ lines }}", "timeoutSeconds": 5}}],
    ),
    "downloads": _inputs("aws:downloadContent", sourceType="HTTP", sourceInfo={"url": "https://h/x"}),
    "download by JSON text": _inputs("aws:downloadContent", sourceType="S3", sourceInfo='{"path": "https://s3/x"}'),
    "nests": _inputs("aws:runDocument", documentType="SSMDocument", documentPath="other", documentParameters={}),
    "integer and map": text(
        parameters={
            "n": {"type": "Integer", "default": 7, "allowedValues": [7, 8]},
            "on": {"type": "Boolean", "default": False},
            "m": {"type": "StringMap", "default": {"a": "b"}},
            "l": {"type": "MapList", "default": [{"a": 1}]},
        }
    ),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_accepted(content: str) -> None:
    assert _check(content) == json.loads(content)


REFUSED = {
    "not JSON": ("{", "can't be read as JSON"),
    "not an object": ("[]", "not an object"),
    "unknown top key": (text(parametres={}), "'parametres' is not known"),
    "description": (text(description=7), "description is not a text"),
    "no steps": (text(mainSteps=None), "mainSteps"),
    "empty steps": (text(mainSteps=[]), "mainSteps"),
    "too many steps": (text(mainSteps=[{**SHELL, "name": f"s{n}"} for n in range(101)]), "1 to 100"),
    "steps of the other schema": (text(runtimeConfig={}), "runtimeConfig does not belong"),
    "step is a text": (text(mainSteps=["x"]), "step 1 is not an object"),
    "same name twice": (text(mainSteps=[SHELL, SHELL]), "'greet'"),
    "unicode step name": (_step(name="größe"), "step 1 has no name"),
    "long step name": (_step(name="x" * 129), "step 1 has no name"),
    "unknown step key": (_step(precondtion={}), "'precondtion'"),
    "no action": (_step(action=None), "no action"),
    "unknown plugin": (_inputs("aws:runBasic"), "no plugin 'aws:runBasic'"),
    "plugin out of scope": (_inputs("aws:domainJoin"), "aws:domainJoin is not part"),
    "inputs": (_step(inputs=[]), "inputs of step greet"),
    "no command": (_step(inputs={}), "runCommand is missing"),
    "empty command": (_step(inputs={"runCommand": []}), "runCommand is not a list of texts"),
    "command of numbers": (_step(inputs={"runCommand": [1]}), "runCommand is not a list of texts"),
    "onFailure": (_step(onFailure="abort"), "onFailure of step greet"),
    "onSuccess": (_step(onSuccess="stop"), "onSuccess of step greet"),
    "finallyStep": (_step(finallyStep="maybe"), "finallyStep of step greet"),
    "finallyStep first": (
        text(mainSteps=[{**SHELL, "finallyStep": True}, {**SHELL, "name": "b"}]), "only the last step",
    ),
    "operator": (_step(precondition={"StringLike": ["a", "b"]}), "another operator"),
    "operands": (_step(precondition={"StringEquals": ["a"]}), "exactly two texts"),
    "precondition in 2.0": (
        text(schemaVersion="2.0", mainSteps=[{**SHELL, "precondition": {}}]), "needs schemaVersion 2.2",
    ),
    "document type": (_inputs("aws:runDocument", documentType="Word", documentPath="x"), "SSMDocument, LocalPath"),
    "source type": (_inputs("aws:downloadContent", sourceType="FTP", sourceInfo={}), "GitHub, Git, HTTP"),
    "inventory switch": (_inputs("aws:softwareInventory", applications="yes"), "Enabled or Disabled"),
    "parameter store": (_step(inputs={"runCommand": ["echo {{ssm:secret}}"]}), "parameter store"),
    "parameters": (text(parameters=[]), "parameters is not an object"),
    "parameter name": (text(parameters={"wörd": {"type": "String"}}), "other characters"),
    "definition": (text(parameters={"word": "String"}), "not defined by an object"),
    "no type": (text(parameters={"word": {}}), "type None"),
    "type": (_parameter(type="string"), "type 'string'"),
    "field": (_parameter(pattern="x"), "unknown field 'pattern'"),
    "bound": (_parameter(minChars=-1), "minChars"),
    "allowed values": (_parameter(allowedValues="a"), "allowedValues"),
    "pattern": (_parameter(allowedPattern="(["), "not a regular expression"),
    "pattern with a look-ahead": (_parameter(allowedPattern="(?=a)a"), "not every engine"),
    "pattern with flags": (_parameter(allowedPattern="(?x) a # ["), "not every engine"),
    "pattern with a brace": (_parameter(allowedPattern="(?:a){e<=2}"), "repeats nothing"),
    "pattern of deep groups": (_parameter(allowedPattern="(?:" * 9 + "a" + "){1,9}" * 9), "groups within"),
    "pattern of hidden groups": (_parameter(allowedPattern="(?:[])]" * 9 + "){1,9}" * 9), "groups within"),
    "pattern of one engine": (_parameter(allowedPattern="\\p{L}+"), "repeats nothing"),
    "pattern of a newer engine": (_parameter(allowedPattern="a**"), "read alike"),
    "pattern of a million repeats": (_parameter(allowedPattern="(a{2,1001}){3}"), "more than 1000 times"),
    "default of another type": (_parameter(default=3600), "'3600' is not"),
    "default not allowed": (_parameter(default="c", allowedValues=["a", "b"]), "own default"),
    "default against the pattern": (_parameter(default="B", allowedPattern="[a-z]"), "own default"),
    "too long patterns": (
        text(parameters={f"p{n}": {"type": "String", "allowedPattern": "[a-z]" * 800} for n in range(3)}), "together",
    ),
    "too many parameters": (text(parameters={f"p{n}": {"type": "String"} for n in range(201)}), "200 parameters"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(content: str, reason: str) -> None:
    error = _refusal(content)
    assert (type(error), error.kind) == (Invalid, Kind.DOCUMENT_CONTENT)
    assert reason in error.message


@pytest.mark.parametrize("version", [None, "0.3", "1.0", "2.1", "2.2.0", "3", 2.2, 2, True, ["2.2"], {}])
def test_schema_versions(version: Any) -> None:
    error = _refusal(json.dumps(value() | {"schemaVersion": version}))
    assert error.kind == Kind.DOCUMENT_SCHEMA


def test_yaml_is_checked_like_json() -> None:
    assert _check(YAML, format="YAML")["mainSteps"][0]["name"] == "greet"
    assert 'write "2.2", with quotes' in _refusal(YAML.replace('"2.2"', "2.2"), format="YAML").message
    assert "anchors" in _refusal(YAML.replace("greet", "&a greet"), format="YAML").message


def test_schema_1_2_names_its_steps_like_their_plugins() -> None:
    config = {"aws:runShellScript": {"properties": [{"runCommand": ["true"], "timeoutSeconds": "100"}]}}
    content = _check(json.dumps({"schemaVersion": "1.2", "runtimeConfig": config}))
    document = Document(name="old", version="1", content=content)
    assert [(s.name, s.action) for s in document.steps] == [("aws:runShellScript", "aws:runShellScript")]
    assert (execution_seconds(document, {}), runs_on(document, "Windows")) == (100, False)
    for bad in (
        {},
        {"aws:runShellScript": {}},
        {"aws:runShellScript": {"properties": [{}, {}]}},
        {"x": {"properties": {}}},
    ):
        assert _refusal(json.dumps({"schemaVersion": "1.2", "runtimeConfig": bad})).kind == Kind.DOCUMENT_CONTENT


def test_platforms_are_those_on_which_a_step_can_run() -> None:
    """Source: operations.md 2.5."""

    def platforms(*steps: tuple[str, Any]) -> tuple[str, ...]:
        made = [
            {"action": action, "name": f"s{n}", "inputs": {"runCommand": ["true"]}}
            | ({"precondition": {"StringEquals": when}} if when else {})
            for n, (action, when) in enumerate(steps)
        ]
        return Document(name="d", version="1", content=_check(text(mainSteps=made))).platform_types

    shell, power = "aws:runShellScript", "aws:runPowerShellScript"
    assert platforms((shell, None)) == ("Linux", "MacOS")
    assert platforms((power, None)) == ("Linux", "MacOS", "Windows")
    assert platforms((shell, ["platformType", "Linux"]), (power, ["Windows", "platformType"])) == ("Linux", "Windows")
    assert platforms((shell, ["platformType", "windows"])) == ()
    assert platforms((shell, ["platformType", "{{ word }}"])) == ("Linux", "MacOS")


def test_the_size_is_known_before_anything_is_read() -> None:
    for format in ("JSON", "YAML"):
        with pytest.raises(LimitExceeded) as refusal:
            _check("[" * (MAX_CONTENT + 1), format=format)
        assert refusal.value.kind == Kind.DOCUMENT_SIZE


_PIECES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=6)
    | st.sampled_from(["2.2", "{{ word }}", "exit"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "action", "inputs", "default", "runCommand", "x"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(value())), _PIECES, st.sampled_from(["JSON", "YAML"]))
@settings(max_examples=200, deadline=None)
def test_any_value_anywhere_is_accepted_or_refused_with_a_reason(key: str, piece: Any, format: str) -> None:
    for changed in ({key: piece}, {"mainSteps": [{**SHELL, "inputs": piece}]}, {"parameters": {"word": piece}}):
        try:
            content = _check(text(**changed), format=format)
        except DomainError as refusal:
            assert refusal.message
        else:
            document = Document(name="d", version="1", content=content)
            assert 5 <= execution_seconds(document, {}) <= 172_800
            assert document.steps
