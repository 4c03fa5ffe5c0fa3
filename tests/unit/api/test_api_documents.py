"""Documents as a client sees them: made, changed, read, deleted. Source: operations.md 2, 11."""

import hashlib
import json
from typing import Any

import pytest
from tests.unit.api.documents_lab import YAML, refused, text, value
from tests.unit.api.harness import Api

from patchwright.core.structured_text import parse_yaml


def _create(api: Api, name: str = "greet", content: str | None = None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = api("CreateDocument", Name=name, Content=content or text(), **more)["DocumentDescription"]
    return made


def test_a_new_document_is_described_in_full(api: Api) -> None:
    content = text()
    tags = [{"Key": "team", "Value": "web"}]
    made = _create(
        api, content=content, Tags=tags, VersionName="first", DisplayName="Greet me", TargetType="/AWS::EC2::Instance"
    )
    assert made["Status"] == "Creating"
    shown = api("DescribeDocument", Name="greet")["Document"]
    assert shown == made | {"Status": "Active"}
    assert shown == {
        "Sha1": hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest(),
        "Hash": hashlib.sha256(content.encode()).hexdigest(),
        "HashType": "Sha256",
        "Name": "greet",
        "DisplayName": "Greet me",
        "VersionName": "first",
        "Owner": "000000000001",
        "CreatedDate": api.now.timestamp(),
        "Status": "Active",
        "DocumentVersion": "1",
        "Description": "says a word",
        "Parameters": [{"Name": "word", "Type": "String", "DefaultValue": "hello"}],
        "PlatformTypes": ["Linux", "MacOS"],
        "DocumentType": "Command",
        "SchemaVersion": "2.2",
        "LatestVersion": "1",
        "DefaultVersion": "1",
        "DocumentFormat": "JSON",
        "TargetType": "/AWS::EC2::Instance",
        "Tags": tags,
    }


def test_the_content_comes_back_byte_for_byte_or_converted_when_asked(api: Api) -> None:
    odd = "{ \n" + text()[1:] + "\n\n"
    _create(api, "json-doc", odd)
    _create(api, "yaml-doc", YAML, DocumentFormat="YAML")
    assert api("GetDocument", Name="json-doc")["Content"] == odd
    assert api("GetDocument", Name="json-doc", DocumentFormat="JSON")["Content"] == odd
    assert api("GetDocument", Name="yaml-doc", DocumentFormat="YAML")["Content"] == YAML
    assert api("GetDocument", Name="yaml-doc")["DocumentFormat"] == "YAML"
    as_json = api("GetDocument", Name="yaml-doc", DocumentFormat="JSON")
    assert (json.loads(as_json["Content"]), as_json["DocumentFormat"]) == (parse_yaml(YAML), "JSON")
    assert parse_yaml(api("GetDocument", Name="json-doc", DocumentFormat="YAML")["Content"]) == value()
    assert refused(api, "GetDocument", Name="json-doc", DocumentFormat="TEXT").code == "ValidationException"


def test_versions_and_their_selectors(api: Api) -> None:
    """Source: operations.md 2.4."""
    _create(api, VersionName="v1")
    api.later(hours=1)
    second = api(
        "UpdateDocument", Name="greet", Content=text(description="b"), DocumentVersion="$LATEST", VersionName="v2"
    )
    assert second["DocumentDescription"]["DocumentVersion"] == "2"
    assert (second["DocumentDescription"]["LatestVersion"], second["DocumentDescription"]["DefaultVersion"]) == (
        "2",
        "1",
    )
    assert second["DocumentDescription"]["Status"] == "Updating"
    api("UpdateDocument", Name="greet", Content=text(description="c"), DocumentVersion="2")

    def version(**which: str) -> str:
        found: str = api("GetDocument", Name="greet", **which)["DocumentVersion"]
        return found

    assert version() == version(DocumentVersion="$DEFAULT") == version(VersionName="v1") == "1"
    assert version(DocumentVersion="$LATEST") == version(DocumentVersion="3") == "3"
    assert version(VersionName="v2") == version(VersionName="v2", DocumentVersion="2") == "2"
    for which in ({"DocumentVersion": "4"}, {"VersionName": "v9"}, {"VersionName": "v2", "DocumentVersion": "3"}):
        assert refused(api, "GetDocument", Name="greet", **which).code == "InvalidDocumentVersion"
        assert refused(api, "DescribeDocument", Name="greet", **which).code == "InvalidDocumentVersion"

    changed = api("UpdateDocumentDefaultVersion", Name="greet", DocumentVersion="2")["Description"]
    assert changed == {"Name": "greet", "DefaultVersion": "2", "DefaultVersionName": "v2"}
    listed = api("ListDocumentVersions", Name="greet")["DocumentVersions"]
    assert [(v["DocumentVersion"], v["IsDefaultVersion"], v.get("VersionName")) for v in listed] == [
        ("3", False, None), ("2", True, "v2"), ("1", False, "v1"),
    ]  # fmt: skip
    assert (
        refused(api, "UpdateDocumentDefaultVersion", Name="greet", DocumentVersion="9").code == "InvalidDocumentVersion"
    )


def test_what_an_update_refuses(api: Api) -> None:
    _create(api, VersionName="v1")
    new = text(description="other")
    assert (
        refused(api, "UpdateDocument", Name="greet", Content=text(), DocumentVersion="1").code
        == "DuplicateDocumentContent"
    )
    named = refused(api, "UpdateDocument", Name="greet", Content=new, DocumentVersion="1", VersionName="v1")
    assert named.code == "DuplicateDocumentVersionName"
    api("UpdateDocument", Name="greet", Content=new, DocumentVersion="$DEFAULT")
    for stale in ({}, {"DocumentVersion": "1"}, {"DocumentVersion": "$DEFAULT"}, {"DocumentVersion": "7"}):
        error = refused(api, "UpdateDocument", Name="greet", Content=text(description="x"), **stale)
        assert (error.code, "is not latest" in error.message) == ("InvalidDocumentVersion", True)
    missing = refused(api, "UpdateDocument", Name="never-made", Content=new, DocumentVersion="$LATEST")
    assert (missing.code, "does not exist" in missing.message) == ("InvalidDocument", True)


def test_a_document_of_schema_1_2_is_never_updated(api: Api) -> None:
    old = {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": ["true"]}]}}}
    made = _create(api, content=json.dumps(old))
    assert (made["SchemaVersion"], made["PlatformTypes"]) == ("1.2", ["Linux", "MacOS"])
    error = refused(api, "UpdateDocument", Name="greet", Content=text(), DocumentVersion="1")
    assert error.code == "InvalidDocumentSchemaVersion"


def test_numbers_are_never_given_twice(api: Api) -> None:
    _create(api)
    for word in ("b", "c"):
        api("UpdateDocument", Name="greet", Content=text(description=word), DocumentVersion="$LATEST")
    assert refused(api, "DeleteDocument", Name="greet", DocumentVersion="1").code == "InvalidDocumentOperation"
    assert refused(api, "DeleteDocument", Name="greet", DocumentVersion="9").code == "InvalidDocument"
    assert api("DeleteDocument", Name="greet", DocumentVersion="$LATEST") == {}
    assert api("DescribeDocument", Name="greet")["Document"]["LatestVersion"] == "2"
    made = api("UpdateDocument", Name="greet", Content=text(description="c"), DocumentVersion="2")
    assert made["DocumentDescription"]["DocumentVersion"] == "4"


def test_a_deleted_document_is_gone_with_its_tags(api: Api) -> None:
    _create(api, Tags=[{"Key": "a", "Value": "b"}])
    assert api("DeleteDocument", Name="greet") == {}
    for operation in ("GetDocument", "DescribeDocument", "DeleteDocument", "ListDocumentVersions"):
        error = refused(api, operation, Name="greet")
        assert (error.code, "does not exist" in error.message) == ("InvalidDocument", True)
    assert _create(api)["Tags"] == []


def test_tags_of_documents(api: Api) -> None:
    _create(api)
    which = {"ResourceType": "Document", "ResourceId": "greet"}
    api("AddTagsToResource", **which, Tags=[{"Key": "a", "Value": "b"}])
    assert api("ListTagsForResource", **which)["TagList"] == [{"Key": "a", "Value": "b"}]
    assert api("DescribeDocument", Name="greet")["Document"]["Tags"] == [{"Key": "a", "Value": "b"}]
    for name in ("never-made", "no spaces", "arn:aws:ssm:local-1:000000000009:document/greet"):
        error = refused(api, "ListTagsForResource", ResourceType="Document", ResourceId=name)
        assert error.code == "InvalidResourceId"
    vendors = {"ResourceType": "Document", "ResourceId": "AWS-RunShellScript"}
    assert api("ListTagsForResource", **vendors) == {"TagList": []}
    assert refused(api, "AddTagsToResource", **vendors, Tags=[{"Key": "a", "Value": ""}]).code == "InvalidResourceId"


@pytest.mark.parametrize(
    "name", ["aws-own", "AWSome", "Amazon-x", "amzn.x", "AWSEC2-x", "patchwright-x", "AWSSupport-x"]
)
def test_reserved_names(api: Api, name: str) -> None:
    assert refused(api, "CreateDocument", Name=name, Content=text()).code == "ValidationException"


@pytest.mark.parametrize("name", ["ab", "x" * 129, "späß", "a b c", "a/b/c", "\U0001f600" * 3, "a\nbc"])
def test_names_of_another_form(api: Api, name: str) -> None:
    assert refused(api, "CreateDocument", Name=name, Content=text()).code == "ValidationException"


def test_a_name_is_taken_once(api: Api) -> None:
    _create(api)
    assert refused(api, "CreateDocument", Name="greet", Content=text()).code == "DocumentAlreadyExists"


def test_built_in_documents_are_read_and_never_changed(api: Api) -> None:
    shown = api("DescribeDocument", Name="arn:aws:ssm:us-east-1::document/AWS-RunShellScript")["Document"]
    assert (shown["Name"], shown["Owner"], shown["PlatformTypes"]) == (
        "AWS-RunShellScript",
        "Amazon",
        ["Linux", "MacOS"],
    )
    content = api("GetDocument", Name="AWS-RunShellScript", DocumentVersion="1")["Content"]
    assert hashlib.sha256(content.encode()).hexdigest() == shown["Hash"]
    assert len(api("ListDocumentVersions", Name="AWS-RunShellScript")["DocumentVersions"]) == 1
    for operation, members, code in (
        ("UpdateDocument", {"Content": text()}, "InvalidDocumentOperation"),
        ("UpdateDocumentDefaultVersion", {"DocumentVersion": "1"}, "InvalidDocument"),
        ("DeleteDocument", {}, "InvalidDocumentOperation"),
        ("DescribeDocumentPermission", {"PermissionType": "Share"}, "InvalidDocumentOperation"),
        ("ModifyDocumentPermission", {"PermissionType": "Share", "AccountIdsToAdd": ["all"]}, "InvalidDocument"),
    ):
        assert refused(api, operation, Name="AWS-RunShellScript", **members).code == code
    assert refused(api, "GetDocument", Name="AWS-NoSuchThing").code == "InvalidDocument"


def test_a_policy_may_speak_of_documents_and_their_tags(api: Api) -> None:
    _create(api, "ours", Tags=[{"Key": "team", "Value": "web"}])
    _create(api, "theirs", Tags=[{"Key": "team", "Value": "db"}])
    api.policy = {
        "Statement": [
            {
                "Effect": "Allow", "Action": "ssm:*", "Resource": "*",
                "Condition": {"StringEquals": {"ssm:resourceTag/team": "web"}},
            }
        ]
    }  # fmt: skip
    assert api("GetDocument", Name="ours")["Content"]
    for operation in ("GetDocument", "DescribeDocument", "DeleteDocument", "ListDocumentVersions"):
        assert refused(api, operation, Name="theirs").code == "AccessDeniedException"
        assert refused(api, operation, Name="never-made").code == "AccessDeniedException"
    assert refused(api, "CreateDocument", Name="new-one", Content=text()).code == "AccessDeniedException"
    _create(api, "new-one", Tags=[{"Key": "team", "Value": "web"}])


def test_quotas(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchwright.flows.change_document.MAX_DOCUMENTS", 2)
    monkeypatch.setattr("patchwright.flows.change_document.MAX_VERSIONS", 2)
    _create(api, "one")
    _create(api, "two")
    assert refused(api, "CreateDocument", Name="three", Content=text()).code == "DocumentLimitExceeded"
    api("UpdateDocument", Name="one", Content=text(description="2"), DocumentVersion="$LATEST")
    third = {"Name": "one", "Content": text(description="3"), "DocumentVersion": "$LATEST"}
    assert refused(api, "UpdateDocument", **third).code == "DocumentVersionLimitExceeded"
    api("UpdateDocumentDefaultVersion", Name="one", DocumentVersion="2")
    api("DeleteDocument", Name="one", DocumentVersion="1")
    assert api("UpdateDocument", **third)["DocumentDescription"]["DocumentVersion"] == "3"


def test_the_size_limit_is_in_bytes(api: Api) -> None:
    def sized(size: int) -> str:
        empty = json.dumps(value(description="ä"), ensure_ascii=False)
        return empty.replace("ä", "ä" + "x" * (size - len(empty.encode())))

    assert _create(api, "large", sized(65_536))["DocumentVersion"] == "1"
    assert refused(api, "CreateDocument", Name="larger", Content=sized(65_537)).code == "MaxDocumentSizeExceeded"


def test_what_is_not_kept_is_refused(api: Api) -> None:
    for more in (
        {"Attachments": [{"Key": "SourceUrl", "Values": ["s3://b/k"], "Name": "abc"}]},
        {"Requires": [{"Name": "other"}]},
        {"DocumentType": "Automation"},
        {"DocumentType": "ChangeCalendar", "DocumentFormat": "TEXT"},
    ):
        assert refused(api, "CreateDocument", Name="greet", Content=text(), **more).code == "ValidationException"
    assert (
        refused(api, "CreateDocument", Name="greet", Content="x", DocumentFormat="TEXT").code
        == "InvalidDocumentContent"
    )


def test_a_policy_document_collects_inventory(api: Api) -> None:
    step = {"action": "aws:softwareInventory", "name": "collect", "inputs": {"applications": "Enabled"}}
    made = _create(api, content=text(parameters=None, mainSteps=[step]), DocumentType="Policy")
    assert (made["DocumentType"], made["PlatformTypes"]) == ("Policy", ["Linux", "MacOS", "Windows"])
    old = json.dumps(
        {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": {"runCommand": "x"}}}}
    )
    error = refused(api, "CreateDocument", Name="other", Content=old, DocumentType="Policy")
    assert error.code == "InvalidDocumentSchemaVersion"
