"""JSON -> plain values: what is taken, what is refused, and with which words. Source: spec/operations.md 1.1."""

import json
from datetime import UTC, datetime

import pytest

from patchwright.wire.errors import SerializationError, ValidationError
from patchwright.wire.parse import MAX_DEPTH, parse_input, parse_request


@pytest.fixture
def parse(operation):
    return lambda name, body: parse_input(operation(name).input, body)


def refused(parse, name, body):
    with pytest.raises(SerializationError) as caught:
        parse(name, body)
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)
    return caught.value.message


def test_an_empty_body_is_an_empty_object(parse):
    assert parse("DescribePatchBaselines", b"") == {}
    assert parse("DescribePatchBaselines", b"{}") == {}


def test_values_keep_their_types(parse):
    body = b'{"Name":"x","ApprovedPatches":["a","b"],"ApprovedPatchesEnableNonSecurity":true,"ApprovalRules":'
    body += b'{"PatchRules":[{"ApproveAfterDays":7,"PatchFilterGroup":{"PatchFilters":[]}}]}}'
    assert parse("CreatePatchBaseline", body) == {
        "Name": "x",
        "ApprovedPatches": ["a", "b"],
        "ApprovedPatchesEnableNonSecurity": True,
        "ApprovalRules": {"PatchRules": [{"ApproveAfterDays": 7, "PatchFilterGroup": {"PatchFilters": []}}]},
    }


def test_unknown_members_are_ignored_whatever_they_hold(parse):
    assert parse("CreatePatchBaseline", b'{"Name":"x","Novelty":[{"a":[null]}],"name":1}') == {"Name": "x"}


def test_null_is_the_same_as_absent(parse):
    body = b'{"Name":"x","Description":null,"GlobalFilters":{"PatchFilters":null}}'
    assert parse("CreatePatchBaseline", body) == {"Name": "x", "GlobalFilters": {}}


def test_of_a_repeated_member_the_last_counts(parse):
    assert parse("GetPatchBaseline", b'{"BaselineId":"a","BaselineId":"b"}') == {"BaselineId": "b"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"Name=x", "not valid JSON"),
        (b" ", "not valid JSON"),
        (b'{"Name":NaN}', "not valid JSON"),
        (b'{"Name":"\x01"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"Name":"\\ud800"}', "not valid JSON"),
        (b'{"Name":"\xff"}', "not valid UTF-8"),
        (b'{"x":1e999}', "number that is out of range"),
        (b'{"x":' + b"9" * 5000 + b"}", "number that is out of range"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_a_json_object_is_refused(parse, body, said):
    assert said in refused(parse, "CreatePatchBaseline", body)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("CreatePatchBaseline", b'{"Name":5}', "Expected a string but found a number at 'name'."),
        ("CreatePatchBaseline", b'{"ApprovedPatches":"a"}', "Expected a list but found a string at 'approvedPatches'."),
        ("CreatePatchBaseline", b'{"ApprovalRules":[]}', "Expected an object but found a list at 'approvalRules'."),
        (
            "CreatePatchBaseline",
            b'{"ApprovedPatchesEnableNonSecurity":"true"}',
            "Expected true or false but found a string at 'approvedPatchesEnableNonSecurity'.",
        ),
        (
            "CreatePatchBaseline",
            b'{"ApprovedPatches":["a",null]}',
            "Expected a string but found null at 'approvedPatches.2.member'.",
        ),
        (
            "CreatePatchBaseline",
            b'{"ApprovalRules":{"PatchRules":[{},{"ApproveAfterDays":true}]}}',
            "Expected a whole number but found a boolean at 'approvalRules.patchRules.2.member.approveAfterDays'.",
        ),
        (
            "DescribePatchBaselines",
            b'{"MaxResults":"5"}',
            "Expected a whole number but found a string at 'maxResults'.",
        ),
        (
            "DescribePatchBaselines",
            b'{"MaxResults":1.5}',
            "Expected a whole number but found a number at 'maxResults'.",
        ),
        (
            "DescribePatchBaselines",
            b'{"MaxResults":2147483648}',
            "Expected a number of 32 bits but found a larger one at 'maxResults'.",
        ),
        (
            "DescribePatchBaselines",
            b'{"MaxResults":{}}',
            "Expected a whole number but found an object at 'maxResults'.",
        ),
        (
            "SendCommand",
            b'{"Parameters":{"commands":"ls"}}',
            "Expected a list but found a string at 'parameters.value'.",
        ),
        (
            "CreateActivation",
            b'{"ExpirationDate":true}',
            "Expected a timestamp but found a boolean at 'expirationDate'.",
        ),
        (
            "CreateActivation",
            b'{"ExpirationDate":"soon"}',
            "Expected a timestamp of the years 1 to 9999, epoch seconds or ISO-8601 at 'expirationDate'.",
        ),
        (
            "CreateActivation",
            b'{"ExpirationDate":1e18}',
            "Expected a timestamp of the years 1 to 9999, epoch seconds or ISO-8601 at 'expirationDate'.",
        ),
        (
            "RegisterTaskWithMaintenanceWindow",
            b'{"TaskInvocationParameters":{"Lambda":{"Payload":"not base64"}}}',
            "Expected base64 text for MaintenanceWindowLambdaPayload but found other characters at "
            "'taskInvocationParameters.lambda.payload'.",
        ),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(parse, name, body, said):
    assert refused(parse, name, body) == said


def test_a_type_error_is_found_before_constraints(operation):
    with pytest.raises(SerializationError):
        parse_request(operation("CreatePatchBaseline"), b'{"Name":"","ApprovedPatches":7}')
    with pytest.raises(ValidationError):
        parse_request(operation("CreatePatchBaseline"), b'{"Name":""}')


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        (b"1718000000", datetime(2024, 6, 10, 6, 13, 20, tzinfo=UTC)),
        (b"1718000000.125", datetime(2024, 6, 10, 6, 13, 20, 125000, tzinfo=UTC)),
        (b"0", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b'"2024-06-10T06:13:20Z"', datetime(2024, 6, 10, 6, 13, 20, tzinfo=UTC)),
        (b'"2024-06-10T08:13:20.125+02:00"', datetime(2024, 6, 10, 6, 13, 20, 125000, tzinfo=UTC)),
        (b'"2024-06-10"', datetime(2024, 6, 10, tzinfo=UTC)),
    ],
)
def test_timestamps_are_numbers_or_iso_8601(parse, sent, moment):
    parsed = parse("CreateActivation", b'{"ExpirationDate":%b}' % sent)["ExpirationDate"]
    assert parsed == moment
    assert parsed.tzinfo is UTC


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(parse):
    parsed = parse("DescribePatchBaselines", b'{"MaxResults":5.0}')
    assert parsed == {"MaxResults": 5}
    assert type(parsed["MaxResults"]) is int


def test_blobs_are_decoded(parse):
    body = b'{"TaskInvocationParameters":{"Lambda":{"Payload":"eyJhIjoxfQ=="}}}'
    parsed = parse("RegisterTaskWithMaintenanceWindow", body)
    assert parsed["TaskInvocationParameters"]["Lambda"]["Payload"] == b'{"a":1}'


def test_recursive_shapes_have_an_end(parse):
    def nested(levels):
        return b'{"Aggregators":[' * levels + b"{}" + b"]}" * levels

    assert parse("GetInventory", nested(MAX_DEPTH // 2 - 1))
    assert f"deeper than {MAX_DEPTH} levels" in refused(parse, "GetInventory", nested(MAX_DEPTH // 2))
    assert f"deeper than {MAX_DEPTH} levels" in refused(parse, "GetInventory", nested(300))


def test_what_a_real_agent_sends_is_taken(operation):
    """Empty texts and all. Source: spec/agent-protocol.md 4, 5, 6, 11."""
    heartbeat = {
        "InstanceId": "mi-0a1b2c3d4e5f60718",
        "AgentName": "amazon-ssm-agent",
        "AgentStatus": "Active",
        "AgentVersion": "3.3.0.0",
        "AvailabilityZone": "",
        "AvailabilityZoneId": "",
        "ComputerName": "web01",
        "IPAddress": "192.0.2.17",
        "PlatformName": "Debian GNU/Linux",
        "PlatformType": "Linux",
        "PlatformVersion": "12",
        "SSMConnectionChannel": "",
    }
    assert sent(operation("UpdateInstanceInformation"), heartbeat) == heartbeat
    compliance = {
        "ResourceId": "mi-0a1b2c3d4e5f60718",
        "ResourceType": "ManagedInstance",
        "ComplianceType": "Association",
        "ExecutionSummary": {"ExecutionTime": 1767225601.5, "ExecutionId": "", "ExecutionType": ""},
        "ItemContentHash": "x",
        "Items": [],
    }
    assert sent(operation("PutComplianceItems"), compliance)["ExecutionSummary"]["ExecutionId"] == ""
    inventory = {
        "InstanceId": "mi-0a1b2c3d4e5f60718",
        "Items": [
            {
                "TypeName": "AWS:Network",
                "SchemaVersion": "1.0",
                "CaptureTime": "2030-01-02T03:04:05Z",
                "ContentHash": "x",
                "Content": [{"Name": "eth0", "IPV6": ""}],
            },
            {
                "TypeName": "AWS:AWSComponent",
                "SchemaVersion": "1.0",
                "CaptureTime": "2030-01-02T03:04:05Z",
                "Content": [],
            },
        ],
    }
    assert sent(operation("PutInventory"), inventory) == inventory
    reply = {"MessageId": "aws.ssm.3b8f3a52.mi-0a1b2c3d4e5f60718", "Payload": "{}" + " " * 120_000, "ReplyId": "r"}
    assert sent(operation("EC2WindowsMessageDeliveryService.SendReply"), reply) == reply
    result = {
        "AssociationId": "0d7b7f0e-54f5-4f0c-8f3e-1d6c2f0a9b21",
        "InstanceId": "mi-0a1b2c3d4e5f60718",
        "ExecutionResult": {"Status": "Success", "ErrorCode": "", "ExecutionSummary": "1 out of 1 plugin processed"},
    }
    assert sent(operation("UpdateInstanceAssociationStatus"), result) == result


def sent(operation, request):
    return parse_request(operation, json.dumps(request).encode())
