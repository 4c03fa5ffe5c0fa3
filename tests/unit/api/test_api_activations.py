"""Activations as a client sees them: the code once, limits, expiry, filters, deletion."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api

from patchwright.core.activations import ActivationRefusal, refusal_of
from patchwright.store import activations
from patchwright.store.engine import Engine

MISSING = "01234567-89ab-4def-8123-456789abcdef"


def _create(api: Api, **members: Any) -> str:
    made: str = api("CreateActivation", **{"IamRole": "Patching", **members})["ActivationId"]
    return made


def _refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value


def _listed(api: Api, *filters: tuple[str, list[str]]) -> list[dict[str, Any]]:
    sent = [{"FilterKey": key, "FilterValues": values} for key, values in filters]
    found: list[dict[str, Any]] = api("DescribeActivations", Filters=sent)["ActivationList"]
    return found


def test_everything_given_comes_back_but_the_code(api: Api, store: Engine) -> None:
    expires = int((api.now + timedelta(days=30)).timestamp())
    made = api(
        "CreateActivation",
        IamRole="Patching",
        Description="lab",
        DefaultInstanceName="web",
        RegistrationLimit=5,
        ExpirationDate=expires,
        Tags=[{"Key": "b", "Value": ""}, {"Key": "a", "Value": "1"}],
    )
    assert len(made["ActivationCode"]) >= 20
    assert _listed(api) == [
        {
            "ActivationId": made["ActivationId"],
            "IamRole": "Patching",
            "Description": "lab",
            "DefaultInstanceName": "web",
            "RegistrationLimit": 5,
            "RegistrationsCount": 0,
            "ExpirationDate": expires,
            "Expired": False,
            "CreatedDate": api.now.timestamp(),
            "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}],
        }
    ]
    found = store.read(lambda tx: activations.find(tx, made["ActivationId"]))
    assert made["ActivationCode"] not in repr(found)
    assert refusal_of(found, made["ActivationCode"], api.now) is None
    assert refusal_of(found, made["ActivationCode"] + "x", api.now) is ActivationRefusal.WRONG_CODE


def test_what_was_not_given_stays_unsaid_as_terraform_needs(api: Api) -> None:
    _create(api, DefaultInstanceName="")
    listed = _listed(api)[0]
    assert not {"RegistrationLimit", "DefaultInstanceName", "Description"} & set(listed)
    assert listed["Tags"] == []
    assert listed["ExpirationDate"] == (api.now + timedelta(hours=24)).timestamp()
    _create(api, RegistrationLimit=1)
    assert [a.get("RegistrationLimit") for a in _listed(api)] == [None, 1]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"IamRole": ""}, "InvalidParameters"),
        ({"IamRole": " "}, "InvalidParameters"),
        ({"seconds": 0}, "InvalidParameters"),
        ({"seconds": 30 * 86400 + 1}, "InvalidParameters"),
        ({"RegistrationLimit": 0}, "ValidationException"),
        ({"RegistrationLimit": 1001}, "ValidationException"),
        ({"Tags": [{"Key": "AWS:x", "Value": ""}]}, "ValidationException"),
    ],
)
def test_what_is_out_of_range_makes_nothing(api: Api, members: dict[str, Any], code: str) -> None:
    if "seconds" in members:
        members = {"ExpirationDate": api.now.timestamp() + members["seconds"]}
    assert _refused(api, "CreateActivation", **{"IamRole": "r", **members}).code == code
    assert _listed(api) == []


def test_it_reads_expired_from_its_last_instant_and_when_every_registration_is_taken(api: Api, store: Engine) -> None:
    made = _create(api)
    api.now += timedelta(hours=24) - timedelta(microseconds=1)
    assert _listed(api)[0]["Expired"] is False
    api.now += timedelta(microseconds=1)
    assert _listed(api)[0]["Expired"] is True
    taken = _create(api)
    store.write(lambda tx: activations.take_registration(tx, taken))
    states = {a["ActivationId"]: (a["Expired"], a["RegistrationsCount"]) for a in _listed(api)}
    assert states == {made: (True, 0), taken: (True, 1)}


def test_deleting_hides_it_for_good(api: Api) -> None:
    made, other = _create(api), _create(api)
    assert api("DeleteActivation", ActivationId=made) == {}
    assert [a["ActivationId"] for a in _listed(api)] == [other]
    assert _listed(api, ("ActivationIds", [made])) == []
    for gone in (made, MISSING):
        assert _refused(api, "DeleteActivation", ActivationId=gone).code == "InvalidActivation"


def test_another_account_neither_sees_nor_deletes_it(api: Api) -> None:
    made = _create(api)
    mine, api.scope = api.scope, type(api.scope)(account="000000000002", region="local-1")
    assert _listed(api) == []
    assert _refused(api, "DeleteActivation", ActivationId=made).code == "InvalidActivation"
    api.scope = mine
    assert len(_listed(api)) == 1


def test_filters_and_pages_from_new_to_old(api: Api) -> None:
    made = []
    for number in range(5):
        made.append(_create(api, IamRole="A" if number % 2 else "B", DefaultInstanceName=f"n{number}"))
        api.later(seconds=1)
    pages = [[a["ActivationId"] for a in p["ActivationList"]] for p in api.pages("DescribeActivations", MaxResults=2)]
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    assert [a["ActivationId"] for a in _listed(api, ("IamRole", ["A"]))] == [made[3], made[1]]
    both = _listed(api, ("IamRole", ["A"]), ("DefaultInstanceName", ["n1", "n2"]))
    assert [a["ActivationId"] for a in both] == [made[1]]
    assert _listed(api, ("ActivationIds", [made[0]]), ("ActivationIds", [made[1]])) == []


@pytest.mark.parametrize("bad", [{}, {"FilterKey": "IamRole"}, {"FilterValues": ["x"]}])
def test_a_filter_with_half_of_it_missing_is_refused(api: Api, bad: dict[str, Any]) -> None:
    assert _refused(api, "DescribeActivations", Filters=[bad]).code == "InvalidFilter"


def test_a_foreign_token_is_refused(api: Api) -> None:
    _create(api), _create(api)
    token = api("DescribeActivations", MaxResults=1)["NextToken"]
    other = [{"FilterKey": "IamRole", "FilterValues": ["x"]}]
    error = _refused(api, "DescribeActivations", Filters=other, NextToken=token)
    assert error.code == "InvalidNextToken"
