"""ListDocuments and sharing as clients of two accounts see them. Source: operations.md 2.4, 2.5, 1.6."""

from typing import Any

import pytest
from tests.unit.api.documents_lab import YAML, refused, text
from tests.unit.api.harness import AnswerError, Api

from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.values import Scope
from patchwright.store.engine import Engine
from patchwright.wire.model import Models

THEIRS = "arn:aws:ssm:local-1:000000000002:document/"


@pytest.fixture
def other(store: Engine, models: Models) -> Api:
    """Another account of the same server."""
    api = Api(store, models)
    api.scope = Scope(account="000000000002", region="local-1")
    return api


def _names(api: Api, *filters: dict[str, Any], **members: Any) -> list[str]:
    more = {"Filters": list(filters)} if filters else {}
    return [d["Name"] for page in api.pages("ListDocuments", **more, **members) for d in page["DocumentIdentifiers"]]


def _by(key: str, *values: str) -> dict[str, Any]:
    return {"Key": key, "Values": list(values)}


def _share(api: Api, name: str, *accounts: str, **more: Any) -> None:
    assert api("ModifyDocumentPermission", Name=name, PermissionType="Share", AccountIdsToAdd=accounts, **more) == {}


def _shared(api: Api, name: str, **more: Any) -> dict[str, Any]:
    return api("DescribeDocumentPermission", Name=name, PermissionType="Share", **more)


def test_every_filter(api: Api) -> None:
    tags = [{"Key": "team", "Value": "web"}]
    api("CreateDocument", Name="web-greet", Content=text(), Tags=tags, TargetType="/AWS::EC2::Instance")
    api("CreateDocument", Name="web-win", Content=YAML, DocumentFormat="YAML", DisplayName="Greets Windows")
    step = {"action": "aws:softwareInventory", "name": "collect"}
    inventory = text(parameters=None, mainSteps=[step])
    api("CreateDocument", Name="collect", Content=inventory, DocumentType="Policy")
    own = _by("Owner", "Self")
    assert _names(api, own) == ["collect", "web-greet", "web-win"]
    assert _names(api, _by("Name", "web-")) == ["web-greet", "web-win"]
    assert _names(api, _by("Name", "web-g", "col")) == ["collect", "web-greet"]
    assert _names(api, own, _by("PlatformTypes", "Windows")) == ["collect", "web-win"]
    assert _names(api, own, _by("PlatformTypes", "Linux", "MacOS")) == ["collect", "web-greet"]
    assert _names(api, _by("DocumentType", "Policy")) == ["AWS-GatherSoftwareInventory", "collect"]
    assert _names(api, _by("TargetType", "/AWS::EC2::Instance")) == ["web-greet"]
    assert _names(api, _by("tag:team", "web", "db")) == ["web-greet"]
    assert _names(api, own, _by("SearchKeyword", "WINDOWS")) == ["web-win"]
    assert _names(api, _by("Owner", "Amazon")) == sorted(n for n, d in BUILTIN.items() if d.owner == "Amazon")
    assert _names(api, _by("Owner", "ThirdParty")) == sorted(n for n, d in BUILTIN.items() if d.owner != "Amazon")
    assert _names(api) == sorted([*BUILTIN, "collect", "web-greet", "web-win"])
    assert _names(api, own, _by("Name", "AWS-")) == []
    legacy = [{"key": "Owner", "value": "Self"}, {"key": "PlatformTypes", "value": "Windows"}]
    assert _names(api, DocumentFilterList=legacy) == ["collect", "web-win"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Filters": [_by("Colour", "red")]}, "InvalidFilterKey"),
        ({"Filters": [_by("tag:", "red")]}, "InvalidFilterKey"),
        ({"Filters": [_by("Owner", "Self", "Amazon")]}, "ValidationException"),
        ({"Filters": [_by("Owner", "Me")]}, "ValidationException"),
        ({"Filters": [_by("PlatformTypes", "BeOS")]}, "ValidationException"),
        ({"Filters": [{"Key": "Name"}]}, "ValidationException"),
        ({"Filters": [_by("Name", "a")] * 7}, "ValidationException"),
        ({"Filters": [_by("Name", "a")], "DocumentFilterList": [{"key": "Name", "value": "a"}]}, "ValidationException"),
        ({"MaxResults": 51}, "ValidationException"),
        ({"NextToken": "nonsense"}, "InvalidNextToken"),
    ],
)
def test_what_a_listing_refuses(api: Api, members: dict[str, Any], code: str) -> None:
    assert refused(api, "ListDocuments", **members).code == code


def test_three_pages_of_each_listing(api: Api) -> None:
    for number in range(5):
        api("CreateDocument", Name=f"doc-{number}", Content=text())
    for number in range(4):
        api("UpdateDocument", Name="doc-0", Content=text(description=str(number)), DocumentVersion="$LATEST")
    _share(api, "doc-0", *(f"00000000010{n}" for n in range(5)))
    pages = list(api.pages("ListDocuments", Filters=[_by("Owner", "Self")], MaxResults=2))
    assert [[d["Name"] for d in page["DocumentIdentifiers"]] for page in pages] == [
        ["doc-0", "doc-1"], ["doc-2", "doc-3"], ["doc-4"],
    ]  # fmt: skip
    pages = list(api.pages("ListDocumentVersions", Name="doc-0", MaxResults=2))
    assert [[v["DocumentVersion"] for v in page["DocumentVersions"]] for page in pages] == [
        ["5", "4"],
        ["3", "2"],
        ["1"],
    ]
    pages = list(api.pages("DescribeDocumentPermission", Name="doc-0", PermissionType="Share", MaxResults=2))
    assert [len(page["AccountIds"]) for page in pages] == [2, 2, 1]
    token = api("ListDocuments", MaxResults=1)["NextToken"]
    assert refused(api, "ListDocumentVersions", Name="doc-0", NextToken=token).code == "InvalidNextToken"
    assert refused(api, "ListDocuments", Filters=[_by("Owner", "Self")], NextToken=token).code == "InvalidNextToken"


def test_what_is_shared_is_used_under_its_arn(api: Api, other: Api) -> None:
    other("CreateDocument", Name="greet", Content=text())
    arn = THEIRS + "greet"
    assert refused(api, "GetDocument", Name=arn).code == "InvalidDocument"
    assert _names(api, _by("Owner", "Private")) == []
    _share(other, "greet", "000000000001")
    assert _shared(other, "greet") == {
        "AccountIds": ["000000000001"],
        "AccountSharingInfoList": [{"AccountId": "000000000001", "SharedDocumentVersion": "$DEFAULT"}],
    }
    assert api("GetDocument", Name=arn)["Name"] == arn
    assert api("DescribeDocument", Name=arn)["Document"]["Owner"] == "000000000002"
    assert [v["DocumentVersion"] for v in api("ListDocumentVersions", Name=arn)["DocumentVersions"]] == ["1"]
    assert _names(api, _by("Owner", "Private")) == [arn]
    assert refused(api, "GetDocument", Name="greet").code == "InvalidDocument", "a bare name is one's own"
    elsewhere = arn.replace("local-1", "local-2")
    assert refused(api, "GetDocument", Name=elsewhere).code == "InvalidDocument"
    for operation in ("DeleteDocument", "UpdateDocument"):
        assert refused(api, operation, Name=arn, Content="x").code == "ValidationException", "its owner's alone"


def test_which_versions_are_shared(api: Api, other: Api) -> None:
    other("CreateDocument", Name="greet", Content=text())
    for word in "bc":
        other("UpdateDocument", Name="greet", Content=text(description=word), DocumentVersion="$LATEST")
    arn = THEIRS + "greet"
    seen = {}
    for version in ("$DEFAULT", "$LATEST", "$ALL"):
        _share(other, "greet", "000000000001", SharedDocumentVersion=version)
        got = []
        for number in ("1", "2", "3"):
            try:
                got.append(api("GetDocument", Name=arn, DocumentVersion=number)["DocumentVersion"])
            except AnswerError as error:
                assert "InvalidDocumentVersion" in str(error)
        seen[version] = (got, api("GetDocument", Name=arn)["DocumentVersion"])
    assert seen == {"$DEFAULT": (["1"], "1"), "$LATEST": (["3"], "3"), "$ALL": (["1", "2", "3"], "1")}


def test_sharing_ends_and_only_then_is_a_document_deleted(api: Api, other: Api) -> None:
    other("CreateDocument", Name="greet", Content=text())
    _share(other, "greet", "All", "000000000001")
    assert _shared(other, "greet")["AccountIds"] == ["000000000001", "all"]
    assert _names(api, _by("Owner", "Public")) == [THEIRS + "greet"]
    assert _names(other, _by("Owner", "Public")) == ["greet"]
    assert refused(other, "DeleteDocument", Name="greet").code == "InvalidDocumentOperation"
    both = {"AccountIdsToAdd": ["000000000003", "ALL"], "AccountIdsToRemove": ["all", "000000000001", "000000000009"]}
    other("ModifyDocumentPermission", Name="greet", PermissionType="Share", **both)
    assert _shared(other, "greet")["AccountIds"] == ["000000000003"], "to remove wins"
    other("ModifyDocumentPermission", Name="greet", PermissionType="Share", AccountIdsToRemove=["000000000003"])
    assert _shared(other, "greet")["AccountIds"] == []
    assert other("DeleteDocument", Name="greet") == {}


def test_limits_of_sharing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchwright.core.document_rules.MAX_SHARED_ACCOUNTS", 3)
    api("CreateDocument", Name="greet", Content=text())
    share = {"Name": "greet", "PermissionType": "Share"}
    many = [f"{n:012}" for n in range(21)]
    assert refused(api, "ModifyDocumentPermission", **share, AccountIdsToAdd=many).code == "ValidationException"
    assert refused(api, "ModifyDocumentPermission", **share, AccountIdsToAdd=many[:4]).code == "DocumentPermissionLimit"
    assert _shared(api, "greet")["AccountIds"] == []
    for number in range(5):
        api("CreateDocument", Name=f"public-{number}", Content=text())
        _share(api, f"public-{number}", "all")
    assert refused(api, "ModifyDocumentPermission", **share, AccountIdsToAdd=["all"]).code == "DocumentPermissionLimit"
    _share(api, "public-0", "all", SharedDocumentVersion="$ALL")
    wrong = refused(api, "ModifyDocumentPermission", Name="greet", PermissionType="Give")
    assert wrong.code == "ValidationException"
