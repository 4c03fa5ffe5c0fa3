"""A stand-in for a server: it answers what a test tells it, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]


class Refusal(Exception):
    """An answer that is an error of the API."""

    def __init__(self, code: str, message: str = "no") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class ApiStub:
    """`answers[operation]` is what an operation answers, or a function of its request. `asked` has all requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [body for name, body in self.asked if name == operation]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append((operation, body))
        answer = self.answers.get(operation)
        try:
            if answer is None:
                raise Refusal("UnknownOperationException", operation)
            return 200, answer(body) if callable(answer) else answer
        except Refusal as refusal:
            return 400, {"__type": refusal.code, "message": refusal.message}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.headers.append(dict(self.headers))
                status, answer = stub._answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def write_aws_files(data_dir: Path, url: str) -> Path:
    """A data folder as `serve` leaves it."""
    folder = data_dir / "aws"
    folder.mkdir(parents=True, exist_ok=True)
    services = "".join(f"\n{name} =\n  endpoint_url = {url}" for name in ("ssm", "patchwright", "sts"))
    profile = f"region = local-1\nservices = patchwright\nendpoint_url = {url}\n"
    (folder / "config").write_text(f"[default]\n{profile}\n[services patchwright]{services}\n")
    (folder / "credentials").write_text("[default]\naws_access_key_id = AKIAOFTHEFOLDER\naws_secret_access_key = s\n")
    return data_dir
