"""Every constraint's text, as AWS words it. Source: spec/operations.md 1.5."""

import base64
import json

import pytest

from patchwright.wire.errors import ValidationError
from patchwright.wire.parse import parse_request
from patchwright.wire.patterns import matches
from patchwright.wire.printing import MAX_SHOWN
from patchwright.wire.validate import MAX_REPORTED

NODE = "(^i-(\\w{8}|\\w{17})$)|(^mi-\\w{17}$)"
MAX_ERRORS = "^([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)$"
PAYLOAD = "YQ=="


@pytest.fixture
def complaint(operation):
    """The message with which a request is refused, None if it is not."""

    def ask(name, request):
        try:
            parse_request(operation(name), json.dumps(request).encode())
        except ValidationError as error:
            assert (error.code, error.status) == ("ValidationException", 400)
            return error.message
        return None

    return ask


def one(value, path, constraint):
    return f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"


def test_the_specifications_two_examples(complaint):
    assert complaint("CreatePatchBaseline", {"Name": "ab"}) == (
        "2 validation errors detected: Value 'ab' at 'name' failed to satisfy constraint: Member must have length "
        "greater than or equal to 3; "
        "Value 'ab' at 'name' failed to satisfy constraint: Member must satisfy regular expression "
        "pattern: ^[a-zA-Z0-9_\\-.]{3,128}$"
    )
    window = {"WindowId": "mw-0123456789abcdef0", "TaskType": "RUN_COMMAND", "MaxErrors": "x"}
    assert complaint("RegisterTaskWithMaintenanceWindow", window) == (
        "2 validation errors detected: Value null at 'taskArn' failed to satisfy constraint: Member must not be null; "
        "Value 'x' at 'maxErrors' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        f"{MAX_ERRORS}"
    )


@pytest.mark.parametrize(
    ("name", "request_", "said"),
    [
        ("GetPatchBaseline", {}, one("null", "baselineId", "Member must not be null")),
        ("GetPatchBaseline", {"BaselineId": None}, one("null", "baselineId", "Member must not be null")),
        (
            "DescribePatchBaselines",
            {"MaxResults": 0},
            one("'0'", "maxResults", "Member must have value greater than or equal to 1"),
        ),
        (
            "DescribePatchBaselines",
            {"MaxResults": 101},
            one("'101'", "maxResults", "Member must have value less than or equal to 100"),
        ),
        (
            "CreateMaintenanceWindow",
            {"Name": "abc", "Schedule": "", "Duration": 1, "Cutoff": 0, "AllowUnassociatedTargets": True},
            one("''", "schedule", "Member must have length greater than or equal to 1"),
        ),
        (
            "CreatePatchBaseline",
            {"Name": "abc", "Description": "x" * 200, "ClientToken": "y" * 65},
            one(f"'{'y' * 65}'", "clientToken", "Member must have length less than or equal to 64"),
        ),
        (
            "SendCommand",
            {"DocumentName": "AWS-RunShellScript", "MaxErrors": "101%"},
            one("'101%'", "maxErrors", f"Member must satisfy regular expression pattern: {MAX_ERRORS}"),
        ),
        (
            "CreatePatchBaseline",
            {"Name": "abc", "RejectedPatchesAction": "IGNORE"},
            one(
                "'IGNORE'", "rejectedPatchesAction", "Member must satisfy enum value set: [ALLOW_AS_DEPENDENCY, BLOCK]"
            ),
        ),
        (
            "SendCommand",
            {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-01234567", "web", "db"]},
            one(
                "'[i-01234567, web, db]'",
                "instanceIds",
                f"Member must satisfy constraint: [Member must satisfy regular expression pattern: {NODE}]",
            ),
        ),
        (
            "SendCommand",
            {"DocumentName": "AWS-RunShellScript", "Targets": [{"Key": "tag:a"}, {"Key": ""}]},
            one("''", "targets.2.member.key", "Member must have length greater than or equal to 1"),
        ),
        (
            "RegisterTaskWithMaintenanceWindow",
            {
                "WindowId": "mw-0123456789abcdef0",
                "TaskType": "LAMBDA",
                "TaskArn": "x",
                "TaskInvocationParameters": {"Lambda": {"Payload": PAYLOAD, "Qualifier": ""}},
            },
            one(
                "''", "taskInvocationParameters.lambda.qualifier", "Member must have length greater than or equal to 1"
            ),
        ),
    ],
)
def test_each_constraint_in_awss_words(complaint, name, request_, said):
    assert complaint(name, request_) == said


def test_an_elements_constraints_are_all_listed(complaint):
    tags = {"ResourceType": "PatchBaseline", "ResourceId": "pb-0123456789abcdef0", "TagKeys": [""]}
    assert complaint("RemoveTagsFromResource", tags) == one(
        "'[]'",
        "tagKeys",
        "Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length "
        "greater than or equal to 1, Member must satisfy regular expression pattern: "
        "^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$]",
    )


def test_maps_complain_of_keys_and_values(complaint):
    row = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "CaptureTime": "2030-01-02T03:04:05Z"}
    node = {"InstanceId": "mi-0a1b2c3d4e5f60718"}
    bad_key = complaint("PutInventory", {**node, "Items": [{**row, "Content": [{}, {"": "v"}]}]})
    assert bad_key == one(
        "'{=v}'",
        "items.1.member.content.2.member",
        "Map keys must satisfy constraint: [Member must have length less than or equal to 64, Member must have length "
        "greater than or equal to 1]",
    )
    bad_value = complaint("PutInventory", {**node, "Items": [{**row, "Content": [{"k": "v" * 4097}]}]})
    assert bad_value.endswith(
        "at 'items.1.member.content.1.member' failed to satisfy constraint: Map value must satisfy constraint: [Member "
        "must have length less than or equal to 4096, Member must have length greater than or equal to 0]"
    )


def test_a_blobs_length_is_that_of_its_bytes(complaint):
    def task(size):
        return {
            "WindowId": "mw-0123456789abcdef0",
            "TaskType": "LAMBDA",
            "TaskArn": "x",
            "TaskInvocationParameters": {"Lambda": {"Payload": base64.b64encode(bytes(size)).decode()}},
        }

    assert complaint("RegisterTaskWithMaintenanceWindow", task(4096)) is None
    assert "Member must have length less than or equal to 4096" in complaint(
        "RegisterTaskWithMaintenanceWindow", task(4097)
    )


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("Zürich 1/2", True),
        ("a_b.c:d=e+f-g@h", True),
        ("日本", True),
        ("a\u00a0b", True),
        ("a,b", False),
        ("a\n", False),
    ],
)
def test_patterns_match_the_whole_value_and_know_letters_of_all_scripts(complaint, value, fits):
    tags = {
        "ResourceType": "PatchBaseline",
        "ResourceId": "pb-0123456789abcdef0",
        "Tags": [{"Key": "k", "Value": value}],
    }
    assert (complaint("AddTagsToResource", tags) is None) == fits


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("i-0123456٣", False),
        ("i-0123456é", False),
        ("i-01234567\n", False),
        ("xi-01234567", False),
        ("i-01234567", True),
    ],
)
def test_word_characters_are_ascii_and_anchors_are_whole(complaint, value, fits):
    assert (complaint("SendCommand", {"DocumentName": "AWS-RunShellScript", "InstanceIds": [value]}) is None) == fits


def test_a_long_value_is_cut_and_cannot_act_on_a_terminal(complaint):
    message = complaint("GetPatchBaseline", {"BaselineId": "pb-\x1b[2J\n\x9b\u202e" + "x" * 100_000})
    assert len(message) < MAX_SHOWN * 3
    assert message.startswith("1 validation error detected: Value 'pb-\\u001b[2J\\u000a\\u009b\\u202exxx")
    assert "xxx...' at 'baselineId'" in message
    assert message.isprintable()


def test_a_huge_list_is_cut_as_well(complaint):
    message = complaint("SendCommand", {"DocumentName": "abc", "InstanceIds": ["nobody"] * 100_000})
    assert len(message) < 2 * (MAX_SHOWN + 200)
    assert message.startswith("2 validation errors detected: Value '[nobody, nobody, ")
    assert "Member must have length less than or equal to 50" in message


def test_a_million_failures_are_counted_but_not_all_told(complaint):
    message = complaint("SendCommand", {"DocumentName": "abc", "Targets": [{"Key": "?"}] * 3_000})
    assert message.startswith("3001 validation errors detected: ")
    assert message.endswith(f"; and {3001 - MAX_REPORTED} more")
    assert message.count("; Value") == MAX_REPORTED - 1


def test_a_secret_is_not_repeated(complaint):
    code = "hunter2hunter2" * 30
    message = complaint("RegisterManagedInstance", {"ActivationId": "a", "ActivationCode": code, "PublicKey": "k"})
    assert message == one(
        "'***Sensitive Data Redacted***'", "activationCode", "Member must have length less than or equal to 250"
    )


def test_failures_come_in_the_models_order_whatever_the_requests(complaint):
    bad = {"MaxResults": 0, "NextToken": "t", "Filters": [{"Key": ""}]}
    backwards = dict(reversed(bad.items()))
    assert complaint("DescribePatchBaselines", bad) == complaint("DescribePatchBaselines", backwards)
    assert complaint("DescribePatchBaselines", bad).index("filters.1.member.key") < complaint(
        "DescribePatchBaselines", bad
    ).index("maxResults")


def test_a_pattern_cannot_be_made_to_run_for_long(complaint):
    """The longest-running value known for the models' most tangled pattern is refused, not pondered."""
    assert not matches(r"(a+)+$", "a" * 64 + "!")
