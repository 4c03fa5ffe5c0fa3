"""aws:downloadContent and aws:runPowerShellScript. Source: spec/operations.md 2.3."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_lab import Wire, run
from daemon_lab import order, shell
from tls_lab import authority

from patchwright_agent import fetch

SCRIPT = b"#!/bin/sh\necho fetched $1\n"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/short":
            self._answer(200, SCRIPT[:5], length=len(SCRIPT))
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/other")
            self.end_headers()
        elif self.path == "/secret" and self.headers.get("Authorization") != self._basic():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
        elif self.path.startswith(("/files/script.sh", "/secret")):
            self._answer(200, SCRIPT, length=len(SCRIPT))
        else:
            self._answer(404, b"none", length=4)

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(b"ann:pw").decode()

    def _answer(self, status: int, body: bytes, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def download(url: str, destination: str = "", **source: Any) -> dict[str, Any]:
    inputs = {"sourceType": "HTTP", "sourceInfo": {"url": url, **source}, "destinationPath": destination}
    return {"action": "aws:downloadContent", "name": "fetch", "inputs": inputs}


def outcome(wire: Wire) -> tuple[str, str]:
    step = wire.steps["fetch"]
    return step["status"], step["standardOutput"] + step["standardError"]


def test_a_later_step_runs_what_was_downloaded_and_nothing_stays(tmp_path: Path, files: str) -> None:
    wire = Wire()
    steps = [download(f"{files}/files/script.sh?x=1", allowInsecureDownload="true"), shell("./script.sh it; ls")]
    run(wire, tmp_path, order(steps))
    assert outcome(wire)[0] == "Success"
    assert wire.steps["runShellScript"]["standardOutput"] == "fetched it\nscript.sh\n"
    assert list((tmp_path / "commands").iterdir()) == []


def test_where_a_download_goes(tmp_path: Path, files: str) -> None:
    wire, absolute = Wire(), tmp_path / "place" / "as-named"
    one = download(f"{files}/files/script.sh", "sub/", allowInsecureDownload="true")
    two = {**download(f"{files}/files/script.sh", str(absolute), allowInsecureDownload="true"), "name": "two"}
    run(wire, tmp_path, order([one, two, shell("cat sub/script.sh")]))
    assert wire.steps["runShellScript"]["standardOutput"].encode() == SCRIPT
    assert (absolute.read_bytes(), absolute.stat().st_mode & 0o777) == (SCRIPT, 0o700)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (download("FILES/files/script.sh"), "not https"),
        (download("file:///etc/passwd", allowInsecureDownload="true"), "not https"),
        (download("FILES/none", allowInsecureDownload="true"), "404"),
        (download("FILES/short", allowInsecureDownload="true"), "ended after 5 of"),
        (download("FILES/away", allowInsecureDownload="true"), "redirects to something that is not https"),
        (download("FILES/secret", allowInsecureDownload="true"), "401"),
        (download("FILES/x", authMethod="NTLM", allowInsecureDownload="true"), "authMethod"),
        (download("FILES/x", "../../up", allowInsecureDownload="true"), "leads out"),
        (
            {"action": "aws:downloadContent", "name": "fetch", "inputs": {"sourceType": "S3", "sourceInfo": {}}},
            "from S3",
        ),
        ({"action": "aws:downloadContent", "name": "fetch", "inputs": {"sourceType": "HTTP"}}, "no url"),
    ],
)
def test_what_is_not_downloaded(tmp_path: Path, files: str, step: dict[str, Any], reason: str) -> None:
    wire = Wire()
    info = step["inputs"].get("sourceInfo", {})
    if "url" in info:
        step["inputs"]["sourceInfo"] = {**info, "url": info["url"].replace("FILES", files)}
    run(wire, tmp_path, order([step]))
    status, said = outcome(wire)
    assert status == "Failed"
    assert reason in said
    assert not list(tmp_path.rglob("*.part"))


def test_a_password_is_used_and_shown_nowhere(tmp_path: Path, files: str) -> None:
    wire = Wire()
    secret = {"authMethod": "Basic", "username": "ann", "password": "pw", "allowInsecureDownload": "true"}
    run(wire, tmp_path, order([download(f"{files}/secret", **secret)]))
    status, said = outcome(wire)
    assert status == "Success"
    assert "pw" not in said


def test_the_nodes_own_server_is_trusted_by_its_own_authority_and_no_other_is(tmp_path: Path) -> None:
    made = authority(tmp_path / "ca", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = made.context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, target = f"https://127.0.0.1:{server.server_port}", tmp_path / "got"
    own = {"PATCHWRIGHT_SERVER": url, "PATCHWRIGHT_CA_FILE": str(made.ca_file)}
    source = {"url": f"{url}/files/script.sh"}
    try:
        assert fetch.fetch(source, str(target), own) == len(SCRIPT)
        other = {**own, "PATCHWRIGHT_SERVER": "https://127.0.0.1:1"}
        with pytest.raises(OSError, match="certificate"):
            fetch.fetch(source, str(target) + "2", other)
    finally:
        server.shutdown()
        server.server_close()


def test_power_shell_runs_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {
        "action": "aws:runPowerShellScript",
        "name": "fetch",
        "inputs": {"runCommand": ["Write-Output hi", "exit 4"]},
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    wire = Wire()
    run(wire, tmp_path, order([step]))
    assert outcome(wire) == ("Failed", "The step could not be started: pwsh (PowerShell) is not installed on this host")
    # What it is given is what matters here: a stand-in shows it, and ends as it would.
    stand_in = folder / "pwsh"
    stand_in.write_text('#!/bin/sh\n/bin/echo "$1 $2 $3 $4"\n/bin/cat "$5"\nexit 4\n')
    stand_in.chmod(0o755)
    wire, again = Wire(), tmp_path / "again"
    again.mkdir(mode=0o700)
    run(wire, again, order([step]))
    status, said = outcome(wire)
    assert (status, wire.steps["fetch"]["code"]) == ("Failed", 4)
    assert said.startswith("-NoLogo -NoProfile -NonInteractive -File\nWrite-Output hi\nexit 4\n")
