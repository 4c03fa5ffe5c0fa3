"""The real Terraform with its AWS provider, on the example of docs/how-to/terraform.md. Source: client-expectations.md.

It runs offline, with a folder of plugins: PATCHWRIGHT_TF_PLUGINS, or /opt/tf-plugins; `terraform` by PATH or
PATCHWRIGHT_TERRAFORM. Where there is none, the test is skipped and says so.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import RunningServer

ROOT = Path(__file__).parents[2]
PLUGINS = Path(os.environ.get("PATCHWRIGHT_TF_PLUGINS") or "/opt/tf-plugins")
PROGRAM = os.environ.get("PATCHWRIGHT_TERRAFORM") or shutil.which("terraform")
RUN_SECONDS = 120
CHANGES = 2
"""What `plan -detailed-exitcode` ends with if there is something to do; 0 if not."""

pytestmark = pytest.mark.skipif(
    PROGRAM is None or not PLUGINS.is_dir(),
    reason=f"Terraform is NOT tested: no terraform, or no folder of plugins at {PLUGINS}",
)


class Terraform:
    """A folder with the page's example, and the program on it."""

    def __init__(self, folder: Path, server: RunningServer, region: str, *, unpacked: bool) -> None:
        self._folder = folder
        page = (ROOT / "docs" / "how-to" / "terraform.md").read_text()
        (example,) = re.findall(r"^```hcl\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        (folder / "main.tf").write_text(example)
        (folder / "terraformrc").write_text(f"provider_installation {{\n{_installation(unpacked)}\n}}\n")
        aws = server.data_dir / "aws"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TF_CLI_CONFIG_FILE": str(folder / "terraformrc"),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            # The provider reads its huge schemas in every run: collecting less often saves a third of the time.
            "GOGC": "400",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(aws / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
            "TF_VAR_endpoint": server.url,
            "TF_VAR_region": region,
        }
        if not unpacked:
            self("init", "-no-color")

    def __call__(self, *arguments: str, code: int = 0, **variables: int) -> str:
        """Run it; its output. Raises AssertionError with what it said if it ends with another code."""
        environment = self._environment | {f"TF_VAR_{name}": str(value) for name, value in variables.items()}
        assert PROGRAM is not None
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == code, f"terraform {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def apply(self, **variables: int) -> str:
        return self("apply", "-auto-approve", "-no-color", **variables)

    def settled(self, **variables: int) -> None:
        """A plan that finds nothing to do. Raises AssertionError with the plan."""
        self("plan", "-detailed-exitcode", "-no-color", **variables)

    def ids(self) -> dict[str, str]:
        """Each managed resource's id by its address, from the state's file."""
        resources = json.loads((self._folder / "terraform.tfstate").read_text())["resources"]
        managed = [r for r in resources if r["mode"] == "managed"]
        return {f"{r['type']}.{r['name']}": r["instances"][0]["attributes"]["id"] for r in managed}

    def forget_and_import(self, ids: dict[str, str], **variables: int) -> str:
        """Take resources out of the state, and in again by what `terraform import` asks for; what it said."""
        self("state", "rm", *ids)
        blocks = (f'import {{\n  to = {address}\n  id = "{id_}"\n}}\n' for address, id_ in ids.items())
        (self._folder / "import.tf").write_text("".join(blocks))
        said = self.apply(**variables)
        (self._folder / "import.tf").unlink()
        return said


def _installation(unpacked: bool) -> str:
    """Where the provider is: used where it lies unpacked, without init and checksums of its 700 MB, or installed."""
    if not unpacked:
        return f'filesystem_mirror {{\n  path = "{PLUGINS}"\n}}'
    (binary,) = PLUGINS.glob("registry.terraform.io/hashicorp/aws/*/linux_*/terraform-provider-aws_*")
    return f'dev_overrides {{\n  "hashicorp/aws" = "{binary.parent}"\n}}'


@pytest.mark.slow  # a minute and a half of processor time
@pytest.mark.parametrize("server", ["sqlite"], indirect=True)  # what Terraform sees is the same on the other engine
def test_the_pages_example_is_applied_changed_imported_and_taken_away(
    server: RunningServer, ssm: Any, region: str, tmp_path: Path
) -> None:
    _cycle(Terraform(tmp_path, server, region, unpacked=True), ssm)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_cycle_on_the_other_engine(server: RunningServer, ssm: Any, region: str, tmp_path: Path) -> None:
    _cycle(Terraform(tmp_path, server, region, unpacked=False), ssm)


def _cycle(terraform: Terraform, ssm: Any) -> None:
    terraform.apply()
    terraform.settled()
    first = terraform.ids()
    baseline = first["aws_ssm_patch_baseline.web"]
    assert ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"] == baseline
    assert ssm.get_patch_baseline(BaselineId=baseline)["PatchGroups"] == ["web"]

    terraform.apply(delay_days=9)
    assert terraform.ids() == first, "a change is made in place"
    rules = ssm.get_patch_baseline(BaselineId=baseline)["ApprovalRules"]["PatchRules"]
    assert [rule["ApproveAfterDays"] for rule in rules] == [9]
    assert ssm.describe_document(Name="drain")["Document"]["DefaultVersion"] == "2"

    # A patch group is what the provider itself can't import.
    left = ("aws_ssm_patch_group.web", "aws_ssm_maintenance_window_target.web", "aws_ssm_maintenance_window_task.patch")
    imported = {address: id_ for address, id_ in first.items() if address not in left}
    imported["aws_ssm_default_patch_baseline.debian"] = "DEBIAN"
    said = terraform.forget_and_import(imported, delay_days=9)
    assert "5 imported, 0 added, 0 changed, 0 destroyed" in said
    assert terraform.ids() == first

    terraform("destroy", "-auto-approve", "-no-color", delay_days=9)
    own = [{"Key": "OWNER", "Values": ["Self"]}]
    assert ssm.describe_patch_baselines(Filters=own)["BaselineIdentities"] == []
    assert ssm.describe_patch_groups()["Mappings"] == []
    assert ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"] == []
    assert ssm.describe_activations()["ActivationList"] == []
    assert ssm.describe_maintenance_windows()["WindowIdentities"] == []
    assert ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"] != baseline
