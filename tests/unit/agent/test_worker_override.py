"""Fetching the document of an order, and telling the server of it. Source: worker-protocol.md, PutOverride."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_worker_patch_run import ORDER, FakeServer, Lab
from tls_lab import authority

from patchwright_agent.worker import override
from patchwright_agent.worker.override import Fetched

URL = "https://a.example/list.yaml?secret=1"
TEXT = "patches: [{id: 'bash*'}]\n"


class _Handler(BaseHTTPRequestHandler):
    tries = 0

    def do_GET(self) -> None:
        found = {
            "/list": (200, TEXT.encode()),
            "/marked": (200, b"\xef\xbb\xbf" + TEXT.encode()),
            "/denied": (403, b"no"),
            "/gone": (404, b"no"),
            "/large": (200, b"#" * (override.MAX_BYTES + 1)),
            "/full": (200, b"#" * override.MAX_BYTES),
            "/binary": (200, b"\xff\xfe"),
            "/short": (200, b"patches"),
            "/late": (200, TEXT.encode()),
        }
        status, body = found[self.path.partition("?")[0]]
        if self.path == "/late":
            _Handler.tries += 1
            status = 503 if _Handler.tries < 3 else status
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (5 if self.path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    trusted = authority(tmp_path / "ca", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = trusted.context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("PATCHWRIGHT_SERVER", url)
    monkeypatch.setenv("PATCHWRIGHT_CA_FILE", str(trusted.ca_file))
    yield url
    server.shutdown()
    server.server_close()


def test_a_document_is_fetched_whole_or_its_problem_is_named(files: str) -> None:
    waits: list[float] = []

    def fetched(path: str) -> tuple[str, str]:
        found = override.fetch(files + path, waits.append)
        assert path not in found.message, "an address may hold a secret"
        return found.problem, found.body or found.message

    assert fetched("/list") == ("", TEXT)
    assert fetched("/marked") == ("", TEXT)
    assert fetched("/denied?secret=1") == ("DENIED", "HTTP 403")
    assert fetched("/large") == ("TOO_LARGE", "it is larger than 1048576 bytes")
    assert fetched("/full")[0] == ""
    assert fetched("/binary") == ("NOT_TEXT", "")
    assert waits == []
    assert fetched("/gone") == ("NOT_FETCHED", "HTTP 404")
    problem, message = fetched("/short")
    assert (problem, waits) == ("NOT_FETCHED", [2, 10, 2, 10]), message
    assert fetched("/late") == ("", TEXT)


def test_an_untrusted_certificate_and_a_plain_address_give_no_document(
    files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHWRIGHT_SERVER", "https://other.example")
    untrusted = override.fetch(files + "/list", lambda _: None)
    assert (untrusted.problem, "certificate" in untrusted.message.lower()) == ("NOT_FETCHED", True)
    assert override.fetch("http://127.0.0.1:9/list", lambda _: None).problem == "NOT_FETCHED"


def lab_of(tmp_path: Path, fetched: Fetched, answer: dict[str, Any], **changes: Any) -> Lab:
    server = FakeServer(StartPatchRun=[ORDER | {"FetchUrl": URL}], PutOverride=[answer])
    return Lab(tmp_path, server, fetch=lambda url: fetched if url == URL else Fetched(), **changes)


def test_the_document_is_told_before_anything_else(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, Fetched("[]"), {"Ended": False})
    assert lab.execute() == 0
    assert [name for name, _ in lab.server.calls] == ["StartPatchRun", "PutOverride", "PutFacts", "FinishPatchRun"]
    assert lab.server.sent("PutOverride") == [{"RunId": "r-1", "Body": "[]"}]


def test_a_document_that_cannot_be_used_ends_the_run_with_the_servers_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = {"Ended": True, "Report": "it is denied", "ExitCode": 160}
    lab = lab_of(tmp_path, Fetched(problem="DENIED", message="HTTP 403"), ended)
    assert lab.execute() == 160
    assert capsys.readouterr().out == "it is denied\n"
    assert lab.server.sent("PutOverride") == [{"RunId": "r-1", "Problem": "DENIED", "Message": "HTTP 403"}]
    assert lab.refreshes == [], "nothing is even looked at"


def test_a_node_that_only_scans_fetches_nothing_for_an_install(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, Fetched("[]"), {"Ended": False}, scan_only=True)
    lab.server.answers["StartPatchRun"] = [ORDER | {"FetchUrl": URL, "Operation": "Install"}]
    lab.execute()
    assert [name for name, _ in lab.server.calls] == ["StartPatchRun", "FinishPatchRun"]
