"""The line of `enrol-command`: what a shell makes of it, and what it never holds."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub
from tests.unit.cli.test_cli_commands import Run

from patchwright.cli.enrol import enrol_line
from patchwright.core import enrol_script

HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned`"
SERVER: dict[str, Any] = {
    "PublicUrl": "https://pw:8443",
    "Region": "r",
    "AgentSha256": "cd" * 32,
    "CaSha256": "ab" * 32,
}


def pasted(folder: Path, server: dict[str, Any], served: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run the line in a shell whose curl gives `served`."""
    (folder / "bin").mkdir()
    (folder / "served").write_text(served)
    (folder / "bin/curl").write_text(f'#!/bin/sh\ncp "{folder}/served" "$3"\n')
    (folder / "bin/curl").chmod(0o755)
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "TMPDIR": str(folder)}
    line = enrol_line(server, "id", code, scan_only=True)
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_shell_takes_every_value_as_it_is_and_the_code_by_the_environment(tmp_path: Path) -> None:
    script = 'printf "%s\\n" "$PATCHWRIGHT_ACTIVATION_CODE" "$@"\n'
    server = {**SERVER, "Region": HOSTILE, "EnrolSha256": hashlib.sha256(script.encode()).hexdigest()}
    done = pasted(tmp_path, server, script, HOSTILE)
    assert done.stdout.splitlines() == [
        HOSTILE, "install", "--server", "https://pw:8443", "--activation-id", "id", "--region", HOSTILE,
        "--agent-sha256", "cd" * 32, "--ca-sha256", "ab" * 32, "--scan-only",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "cwd", "served"], (
        "the fetched script was left behind"
    )


def test_a_script_with_another_digest_is_not_run(tmp_path: Path) -> None:
    done = pasted(tmp_path, {**SERVER, "EnrolSha256": "0" * 64}, "touch pwned\n", "code")
    assert done.returncode != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "cwd", "served"]


def test_names_and_tags_stay_with_the_activation(api: ApiStub, patchwright: Run) -> None:
    api.answers["CreateActivation"] = {"ActivationId": "a" * 36, "ActivationCode": "CODE" * 6}
    api.answers["GetServerInformation"] = {**SERVER, "EnrolSha256": "0" * 64}
    code, out, _ = patchwright("enrol-command", "--name", HOSTILE, "--tag", f"Patch Group={HOSTILE}", "-o", "json")
    assert code == 0
    assert "pwned" not in json.loads(out)["Command"]
    assert api.requests("CreateActivation")[0]["Tags"] == [{"Key": "Patch Group", "Value": HOSTILE}]
    code, out, _ = patchwright("enrol-command", "--cloud-init")
    first, line = out.strip().splitlines()
    assert (code, first) == (0, "#!/bin/sh")
    assert line.startswith("(d=$(mktemp -d)")


def test_without_an_agent_to_hand_out_no_activation_is_made(api: ApiStub, patchwright: Run) -> None:
    api.answers["GetServerInformation"] = {"PublicUrl": "https://pw:8443", "Region": "r", "EnrolSha256": "0" * 64}
    code, _, problem = patchwright("enrol-command")
    assert code == 1
    assert "--agent-file" in problem
    assert api.requests("CreateActivation") == []


@pytest.mark.parametrize("arguments", [[], ["remove"], ["install", "--server"], ["install", "--server", "https://pw"]])
def test_wrong_usage_of_the_script_changes_nothing(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "enrol.sh").write_text(enrol_script.SCRIPT)
    done = subprocess.run(
        ["sh", tmp_path / "enrol.sh", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 64, done.stderr
