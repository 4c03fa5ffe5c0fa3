"""Calls to a server that may be slow, closed, huge, hostile or not HTTP at all; and the agent's signatures.

Sources: spec/agent-protocol.md 3; RFC 9112.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tls_lab import authority

from patchwright_agent import connection, transport
from patchwright_agent.daemon import sigv4
from patchwright_agent.transport import BadAddress, Server, ServerError, Unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def scripted(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers its requests by these bytes, one after the other; b"" ends the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []
    remaining = list(answers)

    def serve() -> None:
        while remaining:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while remaining:
                    data = client.recv(1 << 20)
                    if not data:
                        break
                    requests.append(data)
                    answer = remaining.pop(0)
                    if callable(answer):
                        answer(client)
                        break
                    if not answer:
                        break
                    client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    listener.shutdown(socket.SHUT_RDWR) if thread.is_alive() else None
    listener.close()
    thread.join(5)


def call(url: str, timeout: float = 5) -> dict[str, object]:
    with closing(Server(url)) as server:
        return server.call("AmazonSSM.Example", {"a": "ü"}, timeout=timeout)


def test_a_request_on_the_wire() -> None:
    with scripted(OK) as (url, requests), closing(Server(url)) as server:
        server.call("Patchwright.StartPatchRun", {"a": "ü"}, bearer="token-1")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST / HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["host"] == url.removeprefix("http://")
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert headers["x-amz-target"] == "Patchwright.StartPatchRun"
    assert headers["authorization"] == "Bearer token-1"
    assert json.loads(body) == {"a": "ü"}
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a": "b"}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n6;x=y\r\n: "b"}\r\n0\r\nT: x\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"a": "b"}',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:   10  \r\n\r\n{"a": "b"}',
    ],
)
def test_the_ways_in_which_an_answer_may_be_framed(answer: bytes) -> None:
    def send(client: socket.socket) -> None:
        client.sendall(answer)

    with scripted(send) as (url, _):
        assert call(url) == {"a": "b"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000,
        b"HTTP/1.1 103 Early\r\n\r\n" * 20,
    ],
    ids=lambda answer: repr(answer[:60]),
)
def test_what_is_no_usable_answer(answer: bytes) -> None:
    def send(client: socket.socket) -> None:
        client.sendall(answer)

    with scripted(send) as (url, _), pytest.raises(Unreachable):
        call(url)


def test_an_answer_without_length_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 100_000)

    def pour(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 10_000_000)

    with scripted(pour) as (url, _), pytest.raises(Unreachable, match="larger than 100000 bytes"):
        call(url)


def test_a_slow_drip_does_not_outlast_the_timeout() -> None:
    def drip(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                client.sendall(b"x")
                time.sleep(0.05)

    started = time.monotonic()
    with scripted(drip) as (url, _), pytest.raises(Unreachable, match="in time"):
        call(url, timeout=0.4)
    assert time.monotonic() - started < 3


def test_the_connection_is_kept_and_a_closed_one_replaced_without_the_caller_noticing() -> None:
    with scripted(OK, OK, b"", OK) as (url, requests):
        server = Server(url)
        for _ in range(3):
            assert server.call("A.B", {}, timeout=5) == {}
        server.close()
    assert len(requests) == 4, "two on one connection, the third ends it unanswered and is repeated on a new one"


def test_an_answer_cut_short_is_not_repeated() -> None:
    with scripted(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", b"", OK) as (url, requests):
        server = Server(url)
        server.call("A.B", {}, timeout=5)
        with pytest.raises(Unreachable):
            server.call("A.B", {}, timeout=0.5)
        server.close()
        assert len(requests) == 2


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            b'HTTP/1.1 400 X\r\nContent-Length: 47\r\n\r\n{"__type":"ns#InvalidActivation","message":"m"}',
            "InvalidActivation",
            "m",
        ),
        (
            b"HTTP/1.1 403 X\r\nContent-Length: 2\r\nx-amzn-ErrorType: Denied:http://x\r\n\r\n{}",
            "Denied",
            "no explanation was given",
        ),
        (b"HTTP/1.1 502 X\r\nContent-Length: 4\r\n\r\noops", "HTTP502", "no explanation was given"),
        (
            b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n[]",
            "MalformedAnswer",
            "the server's answer is not a JSON object",
        ),
        (b"HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc", "MalformedAnswer", None),
    ],
)
def test_errors_are_typed(answer: bytes, code: str, message: str | None) -> None:
    with scripted(answer) as (url, _), pytest.raises(ServerError) as caught:
        call(url)
    assert caught.value.code == code
    if message:
        assert caught.value.message == message


def test_control_characters_of_a_server_do_not_reach_the_terminal() -> None:
    body = json.dumps({"__type": "X\x1b[2J", "message": "a\x1b]0;evil\x07\r\nb" + "m" * 9000}).encode()
    answer = b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with scripted(answer) as (url, _), pytest.raises(ServerError) as caught:
        call(url)
    assert not any(ord(character) < 32 for character in str(caught.value))
    assert len(str(caught.value)) < 700


def test_redirects_are_not_followed() -> None:
    with scripted(OK) as (elsewhere, stolen):
        answer = b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %s/\r\n\r\n" % elsewhere.encode()
        with scripted(answer) as (url, _), pytest.raises(ServerError, match="not followed"):
            call(url)
        assert stolen == []


def test_a_deeply_nested_answer_is_malformed_and_no_crash() -> None:
    body = b"[" * 200_000
    answer = b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with scripted(answer) as (url, _), pytest.raises(ServerError, match="not a JSON object"):
        call(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.net:8484",
        "http://127.0.0.1.example.net",
        "ftp://127.0.0.1",
        "https://host/path",
        "https://user@host",
        "https://ho st",
        "https://host:99999",
        "https://host\r\nx: y",
        "127.0.0.1:8484",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        Server(url)


def test_plain_http_off_loopback_needs_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Server("http://example.net:8484", insecure_http=True).host_and_port == ("example.net", 8484)
    monkeypatch.setenv("PATCHWRIGHT_INSECURE_HTTP", "1")
    Server("http://example.net:8484")
    for loopback in ("http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"):
        Server(loopback)


def test_nobody_listening_is_unreachable_with_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="Connection refused"):
        call(f"http://127.0.0.1:{port}")


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with context.wrap_socket(client, server_side=True) as secured:
                secured.recv(65536)
                secured.sendall(OK)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    thread.join(5)


def test_tls_trusts_the_given_authority_alone(tmp_path: Path) -> None:
    ours, other = authority(tmp_path / "a", "127.0.0.1"), authority(tmp_path / "b", "127.0.0.1")
    with tls_server(ours.context()) as url, closing(Server(url, str(ours.ca_file))) as server:
        assert server.call("A.B", {}, timeout=5) == {}
    for wrong_file in (str(other.ca_file), None):
        with tls_server(ours.context()) as url, pytest.raises(Unreachable, match=r"(?i)certificate"):
            Server(url, wrong_file).call("A.B", {}, timeout=5)


def test_tls_checks_the_name(tmp_path: Path) -> None:
    elsewhere = authority(tmp_path / "a", "192.0.2.1")
    with tls_server(elsewhere.context()) as url, pytest.raises(Unreachable, match=r"(?i)certificate|match"):
        Server(url, str(elsewhere.ca_file)).call("A.B", {}, timeout=5)


def test_old_tls_is_refused() -> None:
    assert transport.tls_context().minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Tue, 29 Feb 2028 23:59:59 GMT", 1835481599.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
    ],
)
def test_http_dates(text: str, epoch: float | None) -> None:
    assert transport.parse_http_date(text) == epoch


@pytest.mark.parametrize("token", [None, "v1.token/+=="])
@pytest.mark.parametrize("body", [b"{}", '{"a": "ü"}'.encode(), b""])
def test_signatures_equal_botocores(body: bytes, token: str | None) -> None:
    headers = {"host": "127.0.0.1:8484", "content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.X"}
    added = sigv4.hmac_signer("AKID", "secret/+", token, "lab-1", "ssm", 1893553445.9)(headers, body)
    assert added["x-amz-date"] == "20300102T030405Z"
    signed = {name: value for name, value in {**headers, **added}.items() if name != "authorization"}
    request = AWSRequest(method="POST", url="http://127.0.0.1:8484/", data=body, headers=signed)
    request.context["timestamp"] = added["x-amz-date"]
    auth = SigV4Auth(Credentials("AKID", "secret/+", token), "ssm", "lab-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert added["authorization"].endswith("Signature=" + auth.signature(text, request))
    assert "Credential=AKID/20300102/lab-1/ssm/aws4_request" in added["authorization"]
