"""Plain values -> answers that botocore reads. Source: spec/operations.md 1.1-1.3."""

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import botocore.session
import pytest
from botocore.parsers import create_parser

from patchwright.wire.errors import SerializationError, ValidationError, WireError
from patchwright.wire.render import CONTENT_TYPE, RenderError, render_error, render_output


@pytest.fixture
def answer(operation):
    return lambda name, values, **options: json.loads(render_output(operation(name).output, values, **options))


def test_absent_members_and_an_empty_next_token_are_omitted(answer):
    assert answer("DescribePatchBaselines", {"BaselineIdentities": [], "NextToken": ""}) == {"BaselineIdentities": []}
    assert answer("DescribePatchBaselines", {"BaselineIdentities": None, "NextToken": "t"}) == {"NextToken": "t"}
    assert answer("GetPatchBaseline", {"Description": "", "ApprovalRules": {"PatchRules": ()}}) == {
        "Description": "",
        "ApprovalRules": {"PatchRules": []},
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 6, 10, 6, 13, 20, tzinfo=UTC), b"1718000000"),
        (datetime(2024, 6, 10, 6, 13, 20, 123456, tzinfo=UTC), b"1718000000.123"),
        (datetime(2024, 6, 10, 8, 13, 20, 500000, tzinfo=timezone(timedelta(hours=2))), b"1718000000.5"),
        (datetime(1970, 1, 1, tzinfo=UTC), b"0"),
    ],
)
def test_timestamps_are_numbers_with_at_most_three_decimals(operation, moment, text):
    assert render_output(operation("GetPatchBaseline").output, {"CreatedDate": moment}) == b'{"CreatedDate":%b}' % text


def test_enums_of_the_core_are_rendered_by_value(answer):
    class OperatingSystem(StrEnum):
        DEBIAN = "DEBIAN"

    assert answer("GetPatchBaseline", {"OperatingSystem": OperatingSystem.DEBIAN}) == {"OperatingSystem": "DEBIAN"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"BaselineID": "x"}, "GetPatchBaselineResult has no member BaselineID"),
        ({"ApprovalRules": {"PatchRules": [{"Days": 1}]}}, "ApprovalRules: PatchRules: PatchRule has no member Days"),
        ({"OperatingSystem": "BEOS"}, "OperatingSystem: OperatingSystem does not allow 'BEOS'"),
        ({"CreatedDate": datetime(2024, 1, 1)}, "CreatedDate: DateTime"),  # noqa: DTZ001  naive on purpose
        ({"CreatedDate": 5}, "CreatedDate: DateTime"),
        ({"Name": 5}, "Name: BaselineName"),
        ({"ApprovedPatches": "abc"}, "ApprovedPatches: PatchIdList"),
        ({"ApprovedPatches": [None]}, "ApprovedPatches: PatchId"),
        ({"ApprovalRules": "x"}, "ApprovalRules: PatchRuleGroup"),
        ({"ApprovedPatchesEnableNonSecurity": 1}, "ApprovedPatchesEnableNonSecurity: Boolean"),
        ({"ApprovalRules": {"PatchRules": [{"ApproveAfterDays": True}]}}, "ApproveAfterDays: ApproveAfterDays"),
    ],
)
def test_a_handlers_mistake_is_found(answer, values, said):
    with pytest.raises(RenderError, match=said):
        answer("GetPatchBaseline", values)


def test_in_production_an_unknown_member_is_left_out(answer):
    assert answer("GetPatchBaseline", {"BaselineID": "x", "Name": "n"}, strict=False) == {"Name": "n"}


def parsed(models, name, error, members=None):
    """What botocore makes of an error."""
    rendered = render_error(error, models.services["AmazonSSM"].errors, members)
    headers = {key.lower(): value for key, value in rendered.headers}
    assert headers["content-type"] == CONTENT_TYPE
    model = botocore.session.Session().get_service_model("ssm")
    response = {"status_code": rendered.status, "headers": headers, "body": rendered.body}
    parser = create_parser("json")
    result = {**(parser.parse(response, model.shape_for(name)) if name else {}), **parser.parse(response, None)}
    assert headers["x-amzn-errortype"] == result["Error"]["Code"]
    return rendered, result


@pytest.mark.parametrize(
    ("code", "key", "status"),
    [
        ("DoesNotExistException", "Message", 400),
        ("ParameterNotFound", "message", 400),
        ("InvalidCommandId", "message", 400),
        ("InternalServerError", "Message", 500),
    ],
)
def test_an_error_has_its_modelled_key_and_status(models, code, key, status):
    rendered, result = parsed(models, code, WireError(code, "It is gone."))
    assert json.loads(rendered.body) == {"__type": code, key: "It is gone."}
    assert rendered.status == status
    assert (result["Error"]["Code"], result["Error"]["Message"]) == (code, "It is gone.")


def test_an_error_may_carry_its_own_members(models):
    error = WireError("ItemContentMismatchException", "The hash differs.")
    rendered, result = parsed(models, error.code, error, {"TypeName": "AWS:Application", "Novelty": 1})
    assert json.loads(rendered.body) == {
        "__type": error.code,
        "Message": "The hash differs.",
        "TypeName": "AWS:Application",
    }
    assert result["TypeName"] == "AWS:Application"


@pytest.mark.parametrize("error", [SerializationError("no"), ValidationError("no"), WireError("Made.Up", "no", 503)])
def test_generic_errors_need_no_shape(models, error):
    rendered, result = parsed(models, None, error)
    assert rendered.status == error.status
    assert (result["Error"]["Code"], result["Error"]["Message"]) == (error.code, "no")
