"""The built-in documents keep the rules that are asked of everybody's. Source: operations.md 2.5."""

import json

import pytest

from patchwright.core.builtin_documents import BUILTIN, worker_steps
from patchwright.core.document_content import check_content
from patchwright.core.documents import Document, execution_seconds
from patchwright.core.structured_text import parse_yaml, to_yaml


@pytest.mark.parametrize("document", BUILTIN.values(), ids=BUILTIN)
def test_a_built_in_document_would_be_accepted(document: Document) -> None:
    assert check_content(document.text, format="JSON", type=document.type) == document.content
    assert parse_yaml(to_yaml(document.content)) == document.content
    assert json.loads(document.text) == document.content
    assert document.version == "1" and document.platform_types


def test_the_names_that_clients_write_down_are_there() -> None:
    """Source: operations.md 2.5."""
    assert set(BUILTIN) >= {
        "AWS-RunShellScript", "AWS-RunPowerShellScript", "AWS-RunRemoteScript", "AWS-RunDocument",
        "AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation", "AWS-RunPatchBaselineWithHooks",
        "AWS-GatherSoftwareInventory", "AWS-UpdateSSMAgent", "AWS-Noop",
    }  # fmt: skip


def test_nobody_elses_document_gets_a_run_token() -> None:
    content = BUILTIN["AWS-RunPatchBaseline"].content
    assert worker_steps("AWS-RunPatchBaseline", content) == ("PatchWindows", "PatchLinux", "PatchMacOS")
    for name in ("own", "arn:aws:ssm:local-1:000000000002:document/AWS-RunPatchBaseline", "AWS-RunShellScript"):
        assert worker_steps(name, content) == ()


def test_no_parameter_stands_in_a_script_of_ours() -> None:
    """Source: decisions.md 30. The exceptions are there to run what they are given."""
    runners = {"AWS-RunShellScript", "AWS-RunPowerShellScript", "AWS-RunRemoteScript"}
    for document in (d for name, d in BUILTIN.items() if name not in runners):
        for step in document.content["mainSteps"]:
            assert "{{" not in json.dumps(step["inputs"].get("runCommand", ""))


def test_a_patch_run_may_take_two_hours() -> None:
    values = {"Operation": "Scan", "RebootOption": "RebootIfNeeded"}
    assert execution_seconds(BUILTIN["AWS-RunPatchBaseline"], values) == 7_200
    assert execution_seconds(BUILTIN["AWS-RunPatchBaselineWithHooks"], values) == 3 * 7_200 + 3 * 3_600
