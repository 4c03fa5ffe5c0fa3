"""Calls to the Patchwright server: AWS JSON 1.1 over one host and port, TLS verified, redirects never followed."""

import json
import os
import re
import time

from patchwright_agent import __version__, text, websocket
from patchwright_agent.connection import Connection, ConnectionFailed, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Callable, Dict, List, Optional, Tuple

    Signer = Callable[[Dict[str, str], bytes], Dict[str, str]]

MAX_IDLE_CONNECTIONS = 2  # one that polls, one for replies
MAX_MESSAGE_CHARACTERS = 500
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BASE_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?\Z")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|::1)\Z")
_HTTP_DATE = re.compile(r"[A-Za-z]{3}, ([0-9]{2}) ([A-Za-z]{3}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT\Z")


class ServerError(Exception):
    """The server answered with an error: its code, its message (made safe to print), the HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        Exception.__init__(self, "%s: %s" % (code, message))
        self.code = code
        self.message = message
        self.status = status


class Unreachable(Exception):
    """No usable answer came. `reason` says why; whether the server acted on the request is not known.

    `untrusted`: the server's certificate was refused, and nothing was sent.
    """

    def __init__(self, reason: str, untrusted: bool = False) -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.untrusted = untrusted


class BadAddress(ValueError):
    """The server's address can't be used; the message says why."""


class Address:
    """A server's base URL, taken apart. Raises BadAddress, for plain HTTP off loopback too unless `insecure_http`."""

    def __init__(self, base_url: str, insecure_http: bool = False) -> None:
        match = _BASE_URL.match(base_url)
        if match is None:
            raise BadAddress("the server's address must look like https://host:port, without a path")
        self.is_tls = match.group(1) == "https"
        self.host = match.group(2).strip("[]")
        self.port = int(match.group(3) or (443 if self.is_tls else 80))
        if not 0 < self.port < 65536:
            raise BadAddress("the port of the server's address must be between 1 and 65535")
        if not self.is_tls and not insecure_http and not _LOOPBACK.match(self.host):
            raise BadAddress(
                "plain HTTP to another host would show the node's keys to the network; use https://, "
                "or register with --insecure-http in a test lab"
            )
        self.host_header = match.group(2) + (":%d" % self.port if match.group(3) else "")
        self.base_url = "%s://%s" % (match.group(1), self.host_header)


def tls_context(ca_file: "Optional[str]" = None, verify: bool = True) -> "ssl.SSLContext":
    """A client's TLS 1.2+ context that trusts `ca_file` alone, or else the system's store.

    `verify` False is for one purpose: to fetch a certificate that is compared with its pin before anything is sent.
    """
    import ssl  # here, since plain HTTP on loopback needs none of its 4 MB

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if hasattr(ssl, "TLSVersion"):  # Python 3.7
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # novm
    else:
        context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file:
        context.load_verify_locations(cafile=ca_file)
    else:
        context.load_default_certs()
    return context


class Server:
    """The server at `base_url`. Several threads may call at once; each call has its own connection meanwhile.

    `clock_offset` is the server's clock minus this host's, in seconds, by the last answer that had a Date; else None.
    Raises BadAddress when the address can't be used, OSError when `ca_file` can't be read.
    """

    def __init__(self, base_url: str, ca_file: "Optional[str]" = None, insecure_http: bool = False) -> None:
        insecure_http = insecure_http or os.environ.get("PATCHWRIGHT_INSECURE_HTTP") == "1"
        self._address = Address(base_url, insecure_http)
        self._context = tls_context(ca_file) if self._address.is_tls else None
        self._idle: "List[Connection]" = []
        self.clock_offset: "Optional[float]" = None

    def call(
        self,
        target: str,
        body_dict: "Dict[str, Any]",
        sign: "Optional[Signer]" = None,
        bearer: "Optional[str]" = None,
        timeout: float = 20,
    ) -> "Dict[str, Any]":
        """Call the operation `target` ("AmazonSSM.UpdateInstanceInformation") and return its answer.

        `sign` gets the headers (names in lower case) and the body, and returns the headers to add; `bearer` is a token
        instead. `timeout` is for the whole call, in seconds. Raises ServerError, Unreachable.
        """
        body = json.dumps(body_dict, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        headers = {
            "host": self._address.host_header,
            "content-type": "application/x-amz-json-1.1",
            "content-length": str(len(body)),
            "x-amz-target": target,
        }
        if sign is not None:
            headers.update(sign(dict(headers), body))
        if bearer is not None:
            headers["authorization"] = "Bearer " + bearer
        headers["user-agent"] = "patchwright-agent/" + __version__
        response = self._exchange(_request(headers, body), time.monotonic() + timeout)
        self._observe_clock(response)
        return _answer(response)

    def get(self, path: str, timeout: float = 60) -> bytes:
        """A file that the server gives to everyone. Raises ServerError, Unreachable."""
        headers = {"host": self._address.host_header, "user-agent": "patchwright-agent/" + __version__}
        response = self._exchange(_request(headers, b"", "GET " + path), time.monotonic() + timeout)
        if response.status != 200:
            raise ServerError("HTTP%d" % response.status, "the server has no %s" % path, response.status)
        return response.body

    def post(self, path: str, body: bytes, sign: "Signer", timeout: float) -> Response:
        """A signed POST of JSON to a path. The answer is the caller's to judge. Raises Unreachable."""
        headers = {
            "host": self._address.host_header,
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        headers.update(sign(dict(headers), body))
        response = self._exchange(_request(headers, body, "POST " + path), time.monotonic() + timeout)
        self._observe_clock(response)
        return response

    def open_websocket(self, target: str, sign: "Signer", timeout: float) -> "Tuple[Any, bytes]":
        """A signed upgrade on a connection of its own, verified as every other: the socket, and bytes that came after.

        Raises ServerError, Unreachable.
        """
        address, key = self._address, websocket.new_key(os.urandom(16))
        headers = {"host": address.host_header}
        headers.update(sign(dict(headers), b""))
        headers.update(
            {
                "connection": "Upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": key,
                "user-agent": "patchwright-agent/" + __version__,
            }
        )
        deadline = time.monotonic() + timeout
        try:
            connection = Connection(address.host, address.port, self._context, deadline)
            response, opened, rest = connection.upgrade(_request(headers, b"", "GET " + target), deadline)
        except ConnectionFailed as failure:
            raise Unreachable(text.field(failure.reason), failure.untrusted)
        said = response.headers
        if opened is None:
            raise ServerError("HTTP%d" % response.status, "the server opens no WebSocket", response.status)
        is_agreed = said.get("upgrade", "").lower() == "websocket" and "upgrade" in said.get("connection", "").lower()
        is_agreed = is_agreed and said.get("sec-websocket-accept") == websocket.accept_of(key)
        if not is_agreed or "sec-websocket-extensions" in said or "sec-websocket-protocol" in said:
            opened.close()
            raise ServerError("MalformedAnswer", "the server's WebSocket is not what was asked for", 101)
        return opened, rest

    @property
    def host_and_port(self) -> "Tuple[str, int]":
        return self._address.host, self._address.port

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _exchange(self, request: bytes, deadline: float) -> Response:
        connection = self._idle_connection()
        if connection is not None:
            try:
                return self._exchange_on(connection, request, deadline)
            except ConnectionFailed as failure:
                if failure.answered or time.monotonic() >= deadline:
                    raise Unreachable(text.field(failure.reason))
                # The server closed the idle connection just when it was used again: nothing is lost by asking anew.
        try:
            address = self._address
            connection = Connection(address.host, address.port, self._context, deadline)
            return self._exchange_on(connection, request, deadline)
        except ConnectionFailed as failure:
            raise Unreachable(text.field(failure.reason), failure.untrusted)

    def _exchange_on(self, connection: Connection, request: bytes, deadline: float) -> Response:
        response = connection.exchange(request, deadline)
        if connection.reusable and len(self._idle) < MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _idle_connection(self) -> "Optional[Connection]":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            connection.close()

    def _observe_clock(self, response: Response) -> None:
        date = parse_http_date(response.headers.get("date", ""))
        if date is not None:
            self.clock_offset = date - time.time()


def _request(headers: "Dict[str, str]", body: bytes, verb: str = "POST /") -> bytes:
    lines = [verb + " HTTP/1.1"]
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError("a header's value has a line break")
        lines.append("%s: %s" % (name, value))
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


def _answer(response: Response) -> "Dict[str, Any]":
    try:
        answer = json.loads(response.body.decode("utf-8")) if response.body else {}
        if not isinstance(answer, dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError):
        answer = None
    if 200 <= response.status < 300:
        if answer is None:
            raise ServerError("MalformedAnswer", "the server's answer is not a JSON object", response.status)
        return answer
    code = (answer or {}).get("__type") or response.headers.get("x-amzn-errortype") or "HTTP%d" % response.status
    message = (answer or {}).get("message") or (answer or {}).get("Message") or "no explanation was given"
    if 300 <= response.status < 400:
        message = "the server redirects to another address; this is not followed"
    # Some servers write the code as "namespace#Code" or "Code:http://explanation".
    short_code = str(code).rsplit("#", 1)[-1].split(":", 1)[0]
    raise ServerError(text.field(short_code, 100), text.field(str(message), MAX_MESSAGE_CHARACTERS), response.status)


def parse_http_date(value: str) -> "Optional[float]":
    """The epoch seconds of an HTTP date in its preferred form, else None. Source: RFC 9110 5.6.7."""
    match = _HTTP_DATE.match(value)
    if match is None or match.group(2) not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match.group(index)) for index in (1, 3, 4, 5, 6))
    return float(epoch_days(year, _MONTHS.index(match.group(2)) + 1, day) * 86400 + hour * 3600 + minute * 60 + second)


def epoch_days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar (`datetime` would take 0.3 MB)."""
    shifted_year = year - (month <= 2)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return shifted_year * 365 + shifted_year // 4 - shifted_year // 100 + shifted_year // 400 + day_of_year - 719468
