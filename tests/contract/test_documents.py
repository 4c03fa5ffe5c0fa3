"""Documents through boto3 and the aws command line, in the order of Terraform. Source: client-expectations.md."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.api.documents_lab import YAML, text

Run = Callable[..., subprocess.CompletedProcess[str]]


def _code(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refusal:
        call(**members)
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_life_of_a_terraform_resource(ssm: Any) -> None:
    """The provider's calls in its order: create, refresh, share, change, destroy."""
    ssm.create_document(
        Name="own", Content=YAML, DocumentFormat="YAML", DocumentType="Command", Tags=[{"Key": "a", "Value": ""}]
    )
    ssm.modify_document_permission(Name="own", PermissionType="Share", AccountIdsToAdd=["000000000007"])
    assert ssm.describe_document(Name="own")["Document"]["Status"] == "Active"

    def refresh() -> tuple[str, str, list[str]]:
        shown = ssm.describe_document(Name="own")["Document"]
        content = ssm.get_document(Name="own", DocumentVersion="$LATEST", DocumentFormat=shown["DocumentFormat"])
        shared = ssm.describe_document_permission(Name="own", PermissionType="Share")
        return shown["DefaultVersion"], content["Content"], shared["AccountIds"]

    assert refresh() == ("1", YAML, ["000000000007"])
    other = YAML.replace("greet", "greet2")
    for version, content in (("1", other), ("2", YAML)):
        made = ssm.update_document(Name="own", Content=content, DocumentFormat="YAML", DocumentVersion=version)
        number = made["DocumentDescription"]["DocumentVersion"]
        ssm.update_document_default_version(Name="own", DocumentVersion=number)
        assert refresh() == (number, content, ["000000000007"])
    again = _code(ssm.update_document, Name="own", Content=YAML, DocumentFormat="YAML", DocumentVersion="3")
    assert again[0] == "DuplicateDocumentContent"
    ssm.modify_document_permission(Name="own", PermissionType="Share", AccountIdsToRemove=["000000000007"])
    ssm.delete_document(Name="own")
    code, message = _code(ssm.describe_document, Name="own")
    assert (code, "does not exist" in message) == ("InvalidDocument", True)


def test_the_vendors_paginators_run_to_the_end(ssm: Any) -> None:
    for number in range(5):
        ssm.create_document(Name=f"doc-{number}", Content=text())
        ssm.update_document(Name="doc-0", Content=text(description=str(number)), DocumentVersion="$LATEST")
    pages = ssm.get_paginator("list_documents").paginate(
        Filters=[{"Key": "Owner", "Values": ["Self"]}], PaginationConfig={"PageSize": 2}
    )
    names = [[d["Name"] for d in page["DocumentIdentifiers"]] for page in pages]
    assert names == [["doc-0", "doc-1"], ["doc-2", "doc-3"], ["doc-4"]]
    pages = ssm.get_paginator("list_document_versions").paginate(Name="doc-0", PaginationConfig={"PageSize": 2})
    assert [len(page["DocumentVersions"]) for page in pages] == [2, 2, 2]


def test_one_of_many_at_once_makes_the_document(ssm: Any) -> None:
    codes: list[str] = []

    def create(number: int) -> None:
        try:
            ssm.create_document(Name="raced", Content=text(description=str(number)))
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=create, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["", *["DocumentAlreadyExists"] * 5]
    versions = [ssm.update_document(Name="raced", Content=text(description="x"), DocumentVersion="1")]
    assert versions[0]["DocumentDescription"]["DocumentVersion"] == "2"


def test_the_command_line_makes_and_shows_documents(aws: Run, tmp_path: Path) -> None:
    file = tmp_path / "greet.yaml"
    file.write_text(YAML)
    made = aws("ssm", "create-document", "--name", "greet", "--content", f"file://{file}", "--document-format", "YAML")
    assert json.loads(made.stdout)["DocumentDescription"]["PlatformTypes"] == ["Windows"], made.stderr
    shown = aws("ssm", "get-document", "--name", "greet", "--query", "Content", "--output", "text")
    assert shown.stdout == YAML + "\n"
    listed = aws("ssm", "list-documents", "--filters", "Key=Owner,Values=Self", "--query", "DocumentIdentifiers[].Name")
    assert json.loads(listed.stdout) == ["greet"]
    twice = aws("ssm", "create-document", "--name", "greet", "--content", f"file://{file}", "--document-format", "YAML")
    assert "DocumentAlreadyExists" in twice.stderr
