"""One HTTP/1.1 connection, for what a node asks of its server: bounded in time and size, and nothing more.

The standard library's http.client brings the whole `email` package, 1.4 MB of memory that a resting agent would hold
for ever; this module needs `socket`, and `ssl` only where TLS is spoken.
"""

import select
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Dict, List, Optional, Tuple

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = (
    8 * 1024 * 1024
)  # the largest honest answer is a poll's ten messages of 1 MiB at most, in practice 100 kB
MAX_INTERIM_ANSWERS = 8  # 1xx answers before the real one
_READ_BYTES = 64 * 1024


class ConnectionFailed(Exception):
    """The exchange did not complete. `answered`: a byte of an answer had come. `untrusted`: TLS was refused by us."""

    def __init__(self, reason: str, answered: bool = False, untrusted: bool = False) -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.answered = answered
        self.untrusted = untrusted


class Response:
    """Status, headers (names in lower case, the last one of a name wins) and the whole body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: "Dict[str, str]", body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """A connection to `host`:`port`; `context` None means plain text. Not for two threads at once."""

    def __init__(self, host: str, port: int, context: "Optional[ssl.SSLContext]", deadline: float) -> None:
        """Connect before `deadline` (time.monotonic). Raises ConnectionFailed."""
        self._deadline = deadline
        self._buffer = b""
        self._answered = False
        self._may_switch = False
        self.reusable = True
        try:
            # Bytes, not text: text would load the codec for international names, 1 MB that an address never needs.
            plain = socket.create_connection((host.encode("ascii"), port), timeout=self._remaining())  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            raise ConnectionFailed("cannot connect to %s port %d: %s" % (host, port, reason_of(error)))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if context is not None:
                name = host.encode("ascii") if sys.version_info >= (3, 7) else host
                self._socket = context.wrap_socket(plain, server_hostname=name)
        except (OSError, ValueError) as error:  # 3.6 raises a refused certificate as a ValueError
            plain.close()
            reason = "no TLS with %s port %d: %s" % (host, port, reason_of(error))
            raise ConnectionFailed(reason, untrusted=isinstance(error, ValueError) or hasattr(error, "verify_code"))

    def close(self) -> None:
        self.reusable = False
        try:
            self._socket.close()
        except OSError:
            pass

    def is_stale(self) -> bool:
        """Whether an idle connection has been closed by the server, or speaks without being asked."""
        poller = select.poll()  # select.select fails on descriptors above 1023
        poller.register(self._socket, select.POLLIN)
        return bool(self._buffer) or bool(poller.poll(0))

    def upgrade(self, request: bytes, deadline: float) -> "Tuple[Response, Any, bytes]":
        """Send a request to change the protocol: its answer, and after a 101 the socket and what came behind it.

        After 101 the socket is the caller's, after any other answer it is closed. Raises ConnectionFailed.
        """
        self._may_switch = True
        response = self.exchange(request, deadline)
        self.reusable = False
        if response.status == 101:
            return response, self._socket, self._buffer
        self.close()
        return response, None, b""

    def exchange(self, request: bytes, deadline: float) -> Response:
        """Send `request` and read its answer before `deadline` (time.monotonic). Raises ConnectionFailed."""
        self._deadline = deadline
        self._answered = False
        try:
            self._socket.settimeout(self._remaining())
            self._socket.sendall(request)
            response = self._response()
        except (OSError, ValueError) as error:
            self.close()
            raise ConnectionFailed(reason_of(error), self._answered)
        except BaseException:  # a signal's exception: half an answer may still be on its way
            self.close()
            raise
        if not self.reusable:
            self.close()
        return response

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise OSError("no complete answer in time")
        return remaining

    def _response(self) -> Response:
        for _ in range(MAX_INTERIM_ANSWERS):
            budget = [MAX_HEADER_BYTES]
            version, status = _status(self._line(budget))
            headers = self._headers(budget)
            if status >= 200:
                break
            if status == 101:
                if not self._may_switch:
                    raise ValueError("the server changed to another protocol without being asked")
                return Response(status, headers, b"")
        else:
            raise ValueError("the server sent only interim answers")
        if version == b"HTTP/1.0" or "close" in headers.get("connection", "").lower():
            self.reusable = False
        return Response(status, headers, self._body(status, headers))

    def _headers(self, budget: "list[int]") -> "Dict[str, str]":
        headers: "Dict[str, str]" = {}
        while True:
            line = self._line(budget)
            if not line:
                return headers
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise ValueError("the server sent a malformed header")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")

    def _body(self, status: int, headers: "Dict[str, str]") -> bytes:
        if status in (204, 304):
            return b""
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise ValueError("the server used a transfer coding that this agent does not know")
            return self._chunks()
        length = headers.get("content-length")
        if length is None:
            self.reusable = False
            return self._until_closed()
        if not length.isdigit() or len(length) > 10:
            raise ValueError("the server sent a malformed Content-Length")
        return self._exactly(_bounded(int(length)))

    def _chunks(self) -> bytes:
        budget = [MAX_HEADER_BYTES]
        chunks: "List[bytes]" = []
        total = 0
        while True:
            size_text = self._line(budget).partition(b";")[0].strip()
            if not size_text or len(size_text) > 8 or size_text.strip(b"0123456789abcdefABCDEF"):
                raise ValueError("the server sent a malformed chunk")
            size = int(size_text, 16)
            total = _bounded(total + size)
            if size == 0:
                while self._line(budget):  # trailers
                    pass
                return b"".join(chunks)
            chunks.append(self._exactly(size))
            if self._line([2]):
                raise ValueError("the server sent a malformed chunk")
            budget[0] = MAX_HEADER_BYTES

    def _until_closed(self) -> bytes:
        while self._receive(may_end=True):
            _bounded(len(self._buffer))
        body, self._buffer = self._buffer, b""
        return body

    def _exactly(self, size: int) -> bytes:
        pieces = []
        missing = size
        while missing:
            if not self._buffer:
                self._receive()
            piece = self._buffer[:missing]
            self._buffer = self._buffer[len(piece) :]
            missing -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _line(self, budget: "list[int]") -> bytes:
        """The next line without its end. `budget` holds one number: the bytes that lines may still take."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > budget[0]:
                break
            self._receive()
        line, _, rest = self._buffer.partition(b"\n")
        budget[0] -= len(line) + 1
        if budget[0] < 0:
            raise ValueError("the server's header is too long")
        self._buffer = rest
        return line.rstrip(b"\r")

    def _receive(self, may_end: bool = False) -> bool:
        self._socket.settimeout(self._remaining())
        data = self._socket.recv(_READ_BYTES)
        if data:
            self._answered = True
        elif not may_end:
            raise OSError("the server closed the connection")
        self._buffer += data
        return bool(data)


def _status(line: bytes) -> "tuple[bytes, int]":
    fields = line.split(b" ", 2)
    if len(fields) < 2 or fields[0] not in (b"HTTP/1.1", b"HTTP/1.0") or len(fields[1]) != 3 or not fields[1].isdigit():
        raise ValueError("this is not an HTTP server")
    return fields[0], int(fields[1])


def _bounded(size: int) -> int:
    if size > MAX_BODY_BYTES:
        raise ValueError("the server's answer is larger than %d bytes" % MAX_BODY_BYTES)
    return size


def reason_of(error: Exception) -> str:
    """What went wrong, in a few words, for a person."""
    if isinstance(error, socket.timeout):
        return "no complete answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
