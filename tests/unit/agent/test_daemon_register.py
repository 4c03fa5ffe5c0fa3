"""Registration: the pin, the code, the files, and what a failure leaves. Source: spec/agent-protocol.md 4.1 and 15."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_lab import PACKAGE
from fake_server import ACTIVATION_CODE, ACTIVATION_ID, REGION, FakeServer
from tls_lab import authority

from patchwright_agent.daemon import identity


def register(
    server: str, state_dir: Path, *arguments: str, code: str | None = ACTIVATION_CODE, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWRIGHT_")}
    if code is not None:
        environment["PATCHWRIGHT_ACTIVATION_CODE"] = code
    argv = [sys.executable, str(PACKAGE), "register", "--server", server, "--activation-id", ACTIVATION_ID]
    argv += ["--state-dir", str(state_dir), "--region", REGION, *arguments]
    return subprocess.run(argv, env=environment, input=stdin, capture_output=True, text=True, timeout=30)


def test_a_pinned_registration_over_tls_trusts_that_authority_from_then_on(tmp_path: Path) -> None:
    ours = authority(tmp_path / "ours", "127.0.0.1")
    state_dir = tmp_path / "state"
    colons = ":".join(ours.ca_sha256[i : i + 2] for i in range(0, 64, 2)).upper()
    with FakeServer(ours.files, ours.ca_file.read_text()) as server:
        result = register(server.url, state_dir, "--ca-sha256", colons)
        assert result.returncode == 0, result.stderr
        node_id = result.stdout.strip()
        assert node_id in server.nodes
        assert server.violations == []
    stored = identity.load(str(state_dir))
    assert (stored.instance_id, stored.region, stored.server) == (node_id, REGION, server.url)
    assert Path(stored.ca_file).read_text() == ours.ca_file.read_text()
    assert stored.fingerprint == server.nodes[node_id]["Fingerprint"]
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state_dir.iterdir()} == {0o600}
    stored.key()


def test_another_certificate_than_the_pinned_one_gets_nothing(tmp_path: Path) -> None:
    ours, other = authority(tmp_path / "ours", "127.0.0.1"), authority(tmp_path / "other", "127.0.0.1")
    with FakeServer(ours.files, ours.ca_file.read_text()) as server:
        result = register(server.url, tmp_path / "state", "--ca-sha256", other.ca_sha256)
    assert result.returncode == 1
    assert "not the one that --ca-sha256 names" in result.stderr
    assert server.calls == []
    assert not identity.exists(str(tmp_path / "state"))


def test_a_pinned_authority_that_did_not_sign_the_server_gets_nothing(tmp_path: Path) -> None:
    ours, other = authority(tmp_path / "ours", "127.0.0.1"), authority(tmp_path / "other", "127.0.0.1")
    with FakeServer(ours.files, other.ca_file.read_text()) as server:  # somebody in the middle hands out the true CA
        result = register(server.url, tmp_path / "state", "--ca-sha256", other.ca_sha256)
    assert result.returncode == 1
    assert "certificate" in result.stderr.lower()
    assert server.calls == []


def test_a_ca_file_is_copied_and_trusted(tmp_path: Path) -> None:
    ours = authority(tmp_path / "ours", "127.0.0.1")
    with FakeServer(ours.files) as server:
        result = register(server.url, tmp_path / "state", "--ca-file", str(ours.ca_file))
        assert result.returncode == 0, result.stderr
    ours.ca_file.unlink()
    assert Path(identity.load(str(tmp_path / "state")).ca_file).exists()


def test_the_code_comes_from_the_environment_standard_input_or_the_arguments(tmp_path: Path) -> None:
    with FakeServer() as server:
        for number, (arguments, code, stdin) in enumerate(
            [
                ([], ACTIVATION_CODE, ""),
                (["--activation-code", "-"], None, ACTIVATION_CODE + "\n"),
                (["--activation-code", ACTIVATION_CODE], None, ""),
            ]
        ):
            result = register(server.url, tmp_path / f"state-{number}", *arguments, code=code, stdin=stdin)
            assert result.returncode == 0, result.stderr
        none = register(server.url, tmp_path / "state", code=None)
    assert none.returncode == 1
    assert "PATCHWRIGHT_ACTIVATION_CODE" in none.stderr
    assert len(server.nodes) == 3
    assert len({node["Fingerprint"] for node in server.nodes.values()}) == 3


def test_an_identity_is_not_overwritten_unless_forced_and_never_by_a_failure(tmp_path: Path) -> None:
    with FakeServer() as server:
        first = register(server.url, tmp_path / "state")
        before = (tmp_path / "state" / "registration.json").read_bytes()
        again = register(server.url, tmp_path / "state")
        assert again.returncode == 1
        assert "--force" in again.stderr
        refused = register(server.url, tmp_path / "state", "--force", code="wrong-code-wrong-code")
        assert refused.returncode == 1
        assert "InvalidActivation" in refused.stderr
        assert (tmp_path / "state" / "registration.json").read_bytes() == before
        forced = register(server.url, tmp_path / "state", "--force")
    assert forced.returncode == 0
    assert forced.stdout != first.stdout
    assert json.loads((tmp_path / "state" / "registration.json").read_text())["instance_id"] == forced.stdout.strip()


def test_an_identity_is_kept_if_its_key_proves_it_and_not_lost_to_a_server_that_is_down(tmp_path: Path) -> None:
    file = tmp_path / "state" / "registration.json"
    with FakeServer() as server:
        first = register(server.url, tmp_path / "state", "--keep")
        before = file.read_bytes()
        again = register(server.url, tmp_path / "state", "--keep", code="wrong-code-wrong-code")
        assert (again.returncode, again.stdout) == (0, first.stdout)
        assert len(server.nodes) == 1
        url = server.url
    with FakeServer() as other:
        moved = register(other.url, tmp_path / "state", "--keep")
        assert moved.returncode == 1
        assert "--force" in moved.stderr
        assert other.calls == []
    down = register(url, tmp_path / "state", "--keep")
    assert down.returncode == 1
    assert file.read_bytes() == before


def test_the_code_appears_in_no_output_and_no_file(tmp_path: Path) -> None:
    with FakeServer() as server:
        result = register(server.url, tmp_path / "state")
    assert ACTIVATION_CODE not in result.stdout + result.stderr
    for path in (tmp_path / "state").iterdir():
        assert ACTIVATION_CODE not in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--server", "http://192.0.2.1"], 1, "plain HTTP to another host"),
        (["--region", "no such region!"], 1, "region"),
        (["--ca-sha256", "abc", "--server", "https://127.0.0.1:1"], 1, "64 hexadecimal digits"),
        (["--ca-sha256", "a" * 64, "--ca-file", "x"], 64, "not allowed with"),
        (["--unknown"], 64, "unrecognized"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, arguments: list[str], exit_code: int, words: str) -> None:
    result = register("http://127.0.0.1:1", tmp_path / "state", *arguments)
    assert result.returncode == exit_code
    assert words in result.stderr


def test_running_without_an_identity_says_what_to_do(tmp_path: Path) -> None:
    argv = [sys.executable, str(PACKAGE), "run", "--state-dir", str(tmp_path)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    assert "run `register` first" in result.stderr
