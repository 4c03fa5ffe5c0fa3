"""Orders to steps. Sources: spec/agent-protocol.md 8 and 10; spec/operations.md 2.2 and 2.3."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright_agent.daemon import documents, messages, outcomes
from patchwright_agent.daemon.documents import DocumentError, Step, parse_order, resolve_parameters, substitute

VALUES = {
    "commands": ["uname -r", "uptime"],
    "name": "web",
    "count": 3,
    "on": True,
    "map": {"a": "b"},
    "tricky": "{{ name }}",
}


def order(document: dict[str, Any], parameters: dict[str, Any] | None = None) -> str:
    return json.dumps({"DocumentName": "Example", "DocumentContent": document, "Parameters": parameters or {}})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ commands }}", ["uname -r", "uptime"]),
        ("{{commands}}", ["uname -r", "uptime"]),
        (["first", "{{ commands }}", "last"], ["first", "uname -r", "uptime", "last"]),
        ("{{ name }}", "web"),
        ("echo {{ name }}-{{name}}", "echo web-web"),
        ("n={{ count }} {{ on }}", "n=3 true"),
        ("{{ count }}", 3),
        ("list {{ commands }}", 'list ["uname -r", "uptime"]'),
        ("{{ map }}", {"a": "b"}),
        ("{{ unknown }} {{ platformType }}", "{{ unknown }} {{ platformType }}"),
        ("${{ not closed }", "${{ not closed }"),
        ("{{ tricky }}", "{{ name }}"),
        ("x {{ tricky }}", "x {{ name }}"),
        (["{{ name }}", ["{{ commands }}"]], ["web", ["uname -r", "uptime"]]),
        ({"key {{ name }}": "{{ name }}"}, {"key {{ name }}": "web"}),
        (7, 7),
        (None, None),
    ],
)
def test_substitution(template: Any, expected: Any) -> None:
    assert substitute(template, VALUES) == expected


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_without_parameters_nothing_changes(value: Any) -> None:
    assert substitute(value, {}) == value


def test_the_example_of_the_specification() -> None:
    document = {
        "schemaVersion": "2.2",
        "parameters": {
            "commands": {"type": "StringList"},
            "workingDirectory": {"type": "String", "default": ""},
            "executionTimeout": {"type": "String", "default": "3600"},
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "runShellScript",
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {"runCommand": "{{ commands }}", "timeoutSeconds": "{{ executionTimeout }}"},
            }
        ],
    }
    parsed = parse_order(order(document, {"commands": ["uname -r", "uptime"]}))
    assert (parsed.schema_version, parsed.document_name, len(parsed.steps)) == ("2.2", "Example", 1)
    assert parsed.steps[0].inputs == {"runCommand": ["uname -r", "uptime"], "timeoutSeconds": "3600"}
    assert outcomes.decide(parsed.steps[0], "2.2", False) == (outcomes.RUN, "")


@pytest.mark.parametrize("properties", [[{"id": "0.x", "runCommand": ["{{ c }}"]}], {"runCommand": "{{ c }}"}])
def test_schema_1_2_steps_are_named_like_their_plugin(properties: Any) -> None:
    document = {
        "schemaVersion": "1.2",
        "parameters": {"c": {"type": "StringList"}},
        "runtimeConfig": {"aws:runShellScript": {"properties": properties}},
    }
    step = parse_order(order(document, {"c": ["a", "b"]})).steps[0]
    assert (step.name, step.action, step.inputs["runCommand"]) == (
        "aws:runShellScript",
        "aws:runShellScript",
        ["a", "b"],
    )


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ({"type": "String"}, ["a list"]),
        ({"type": "String"}, 5),
        ({"type": "StringList"}, "text"),
        ({"type": "StringMap"}, "text"),
        ({"type": "Integer"}, True),
        ({"type": "Boolean"}, "true"),
        ({"type": "Strange"}, "x"),
        ({"type": "String", "allowedValues": ["Scan", "Install"]}, "scan"),
        ({"type": "StringList", "allowedValues": ["a"]}, ["a", "b"]),
        ({"type": "String", "allowedPattern": "^[a-z]+$"}, "UPPER"),
        ({"type": "StringList", "allowedPattern": "^[a-z]+$"}, ["ok", "not ok"]),
        ({"type": "String", "allowedPattern": "("}, "x"),
        ({"type": "String", "minChars": 2}, "x"),
        ({"type": "String", "maxChars": 2}, "xyz"),
        ({"type": "StringList", "minItems": 1}, []),
        ({"type": "StringList", "maxItems": 1}, ["a", "b"]),
        ({"type": "String"}, "{{ ssm:secret }}"),
        ({"type": "StringList"}, ["x {{ssm-secure:secret}}"]),
        ("no object", "x"),
    ],
)
def test_a_value_that_breaks_its_definition_refuses_the_document(definition: Any, value: Any) -> None:
    with pytest.raises(DocumentError):
        resolve_parameters({"p": definition}, {"p": value})


def test_defaults_are_filled_in_and_undeclared_values_left_out() -> None:
    definitions = {"a": {"type": "String", "default": "x"}, "b": {"type": "StringList"}}
    assert resolve_parameters(definitions, {"b": ["1"], "c": "?"}) == {"a": "x", "b": ["1"]}
    with pytest.raises(DocumentError, match="'b' has no value"):
        resolve_parameters(definitions, {})


STEP = {"action": "aws:runShellScript", "name": "a", "inputs": {}}


@pytest.mark.parametrize(
    "payload",
    [
        "not JSON",
        "[]",
        "{}",
        order({}),
        order({"schemaVersion": "0.3", "mainSteps": [STEP]}),
        order({"schemaVersion": 2.2, "mainSteps": [STEP]}),
        order({"schemaVersion": "2.2"}),
        order({"schemaVersion": "2.2", "mainSteps": []}),
        order({"schemaVersion": "2.2", "mainSteps": ["text"]}),
        order({"schemaVersion": "2.2", "mainSteps": [STEP, STEP]}),
        order({"schemaVersion": "2.2", "mainSteps": [{**STEP, "inputs": "text"}]}),
        order({"schemaVersion": "2.2", "mainSteps": [{**STEP, "name": "x" * 129}]}),
        order({"schemaVersion": "2.2", "mainSteps": [STEP], "parameters": ["p"]}),
        order({"schemaVersion": "1.2", "mainSteps": [STEP]}),
        order({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{}, {}]}}}),
        "[" * 100_000,
    ],
)
def test_what_is_no_document_is_refused_as_a_whole(payload: str) -> None:
    with pytest.raises(DocumentError):
        parse_order(payload)


def step(action: str = "aws:runShellScript", precondition: Any = None, **inputs: Any) -> Step:
    return Step("s", action, inputs, None, precondition)


LINUX = {"StringEquals": ["platformType", "Linux"]}


@pytest.mark.parametrize(
    ("step", "version", "exit_requested", "decision"),
    [
        (step(), "2.2", False, outcomes.RUN),
        (step(), "2.2", True, outcomes.SKIP),
        (step(finallyStep=True), "2.2", True, outcomes.RUN),
        (step(finallyStep="true"), "2.2", True, outcomes.RUN),
        (step("aws:unheardOf"), "2.2", False, outcomes.FAIL),
        (step("aws:unheardOf"), "2.2", True, outcomes.SKIP),
        (step("aws:applications"), "2.2", False, outcomes.SKIP),
        (step("aws:applications"), "2.0", False, outcomes.FAIL),
        (step("aws:configurePackage"), "2.2", False, outcomes.FAIL),
        (step("aws:runDocument"), "2.2", False, outcomes.RUN),
        (step(precondition=LINUX), "2.2", False, outcomes.RUN),
        (step(precondition={"StringEquals": ["linux", "platformType"]}), "2.2", False, outcomes.RUN),
        (step(precondition={"StringEquals": ["platformType", "Windows"]}), "2.2", False, outcomes.SKIP),
        (step(precondition={"StringEquals": ["a", "a"]}), "2.2", False, outcomes.RUN),
        (step(precondition={"StringEquals": ["a", "b"]}), "2.2", False, outcomes.SKIP),
        (step(precondition={"StringEquals": ["platformType"]}), "2.2", False, outcomes.FAIL),
        (step(precondition={"StringEquals": ["{{ undeclared }}", "x"]}), "2.2", False, outcomes.FAIL),
        (step(precondition={"StringNotEquals": ["platformType", "Linux"]}), "2.2", False, outcomes.FAIL),
        (step(precondition="text"), "2.2", False, outcomes.FAIL),
        (step(precondition=LINUX), "2.0", False, outcomes.FAIL),
    ],
)
def test_what_happens_to_a_step(step: Step, version: str, exit_requested: bool, decision: str) -> None:
    assert outcomes.decide(step, version, exit_requested)[0] == decision


@pytest.mark.parametrize(
    ("inputs", "exit_code", "status", "code", "exits"),
    [
        ({}, 0, "Success", 0, False),
        ({}, 1, "Failed", 1, False),
        ({}, 168, "Success", 168, True),
        ({}, 169, "Failed", 169, True),
        ({}, 194, "SuccessAndReboot", 194, False),
        ({}, -9, "Failed", -1, False),
        ({"onFailure": "exit"}, 1, "Failed", 1, True),
        ({"onFailure": "exit"}, 0, "Success", 0, False),
        ({"onFailure": "successAndExit"}, 1, "Success", 168, True),
        ({"onFailure": "successAndExit"}, 0, "Success", 0, False),
        ({"onSuccess": "exit"}, 0, "Success", 0, True),
        ({"onSuccess": "exit"}, 1, "Failed", 1, False),
    ],
)
def test_what_an_exit_code_means(inputs: dict[str, Any], exit_code: int, status: str, code: int, exits: bool) -> None:
    one = step(**inputs)
    settled = outcomes.settle(one, *outcomes.status_of_exit(exit_code))
    assert settled == (status, code)
    assert outcomes.requests_exit(one, *settled) is exits


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["Success", "Failed", "SuccessAndReboot"], "SuccessAndReboot"),
        (["TimedOut", "Failed", "Cancelled"], "Failed"),
        (["Cancelled", "TimedOut", "Success"], "TimedOut"),
        (["Success", "Cancelled"], "Cancelled"),
        (["Success", "Skipped"], "Success"),
        (["Skipped"], "Success"),
        ([], "InProgress"),
    ],
)
def test_a_documents_status(statuses: list[str], expected: str) -> None:
    assert outcomes.document_status(statuses) == expected


SCAN = {
    "DocumentName": "AWS-RunPatchBaseline",
    "Parameters": {"Operation": "Scan"},
    "DocumentContent": {
        "mainSteps": [
            {"action": "aws:runPowerShellScript", "name": "PatchWindows", "inputs": {}},
            {
                "action": "aws:runShellScript",
                "name": "PatchLinux",
                "inputs": {
                    "runCommand": ["curl http://example.net | sh"],
                    "environment": {"PATCHWRIGHT_TOKEN": "v1.abc="},
                },
            },
        ]
    },
}


def test_a_scan_order_gives_step_name_and_token_and_nothing_else() -> None:
    assert messages.scan_order(json.dumps(SCAN)) == ("PatchLinux", "v1.abc=")


@pytest.mark.parametrize(
    "change",
    [
        {"DocumentName": "AWS-RunShellScript"},
        {"DocumentName": "aws-runpatchbaseline"},
        {"DocumentName": None},
        {"Parameters": {"Operation": "Install"}},
        {"Parameters": {"Operation": ["Scan"]}},
        {"Parameters": {}},
        {"Parameters": "Scan"},
        {"DocumentContent": None},
        {"DocumentContent": {"mainSteps": [{"name": "x", "action": "aws:runShellScript"}]}},
    ],
)
def test_anything_but_a_scan_order_is_no_scan(change: dict[str, Any]) -> None:
    with pytest.raises(messages.Unusable):
        messages.scan_order(json.dumps({**SCAN, **change}))


@pytest.mark.parametrize("token", ["a\nb", "a b", "$(id)", "", "x" * 5000, 5, None])
def test_a_token_of_another_form_is_not_taken(token: Any) -> None:
    changed = json.loads(json.dumps(SCAN))
    changed["DocumentContent"]["mainSteps"][1]["inputs"]["environment"]["PATCHWRIGHT_TOKEN"] = token
    with pytest.raises(messages.Unusable):
        messages.scan_order(json.dumps(changed))


NODE = "mi-0a1b2c3d4e5f60718"
MESSAGE = {
    "MessageId": f"aws.ssm.3b8f3a52-0d5e-4a3b-9a55-7f0f7b6f2c11.{NODE}",
    "Destination": NODE,
    "Topic": "aws.ssm.sendCommand.lab.1",
    "CreatedDate": "2030-01-02T03:04:05.678Z",
    "Payload": "{}",
}


def test_a_message_is_taken_apart() -> None:
    message = messages.parse_message({**MESSAGE, "Unknown": 1}, NODE)
    assert (message.command_id, message.kind) == ("3b8f3a52-0d5e-4a3b-9a55-7f0f7b6f2c11", messages.SEND_COMMAND)


@pytest.mark.parametrize(
    "change",
    [
        {"MessageId": f"aws.ssm...{NODE}"},
        {"MessageId": f"aws.ssm.../../../etc/x.{NODE}"},
        {"MessageId": f"aws.ssm.a/../../bbbbbb.{NODE}"},
        {"MessageId": f"aws.ssm.{'a' * 65}.{NODE}"},
        {"MessageId": f"aws.ssm.command-1\n.{NODE}"},
        {"MessageId": "aws.ssm.command-1.mi-another0000000"},
        {"MessageId": 5},
        {"Destination": "mi-another0000000"},
        {"Payload": ""},
        {"Payload": {"CommandId": "x"}},
        {"Payload": "x" * (1024 * 1024 + 1)},
        {"CreatedDate": None},
        {"Topic": "aws.ssm.unknown"},
    ],
)
def test_unusable_messages_are_refused_before_anything_is_made_of_them(change: dict[str, Any]) -> None:
    with pytest.raises(messages.Unusable):
        messages.parse_message({**MESSAGE, **change}, NODE)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(sorted(MESSAGE)), inner),
)
ORDER_LIKE = st.fixed_dictionaries(
    {
        "DocumentName": st.sampled_from(["AWS-RunPatchBaseline", "x"]) | JSON_LIKE,
        "Parameters": JSON_LIKE | st.just({"Operation": "Scan"}),
        "DocumentContent": JSON_LIKE
        | st.fixed_dictionaries(
            {
                "schemaVersion": st.sampled_from(["2.2", "1.2"]) | JSON_LIKE,
                "mainSteps": st.lists(
                    st.fixed_dictionaries({"name": JSON_LIKE, "action": JSON_LIKE, "inputs": JSON_LIKE})
                ),
                "parameters": JSON_LIKE,
                "runtimeConfig": JSON_LIKE,
            }
        ),
    }
)


@given(JSON_LIKE | ORDER_LIKE)
@settings(deadline=None)
def test_no_message_whatever_breaks_the_reading(value: Any) -> None:
    for raw in (value, {**MESSAGE, "Payload": json.dumps(value)}):
        try:
            message = messages.parse_message(raw, NODE)
        except messages.Unusable:
            continue
        messages.document_name(message.payload)
        messages.shell_step_name(message.payload)
        messages.cancelled_command(message.payload, NODE)
        with contextlib.suppress(messages.Unusable):
            messages.scan_order(message.payload)
        try:
            order = documents.parse_order(message.payload)
        except DocumentError:
            continue
        for one in order.steps:
            outcomes.decide(one, order.schema_version, False)
