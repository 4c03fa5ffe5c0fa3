"""An HTTP proxy before a server, which does something at a chosen request: the moments at which a kill hurts most.

    proxy = CuttingProxy(network.address, server)                  # proxy.url is what hosts call
    cut = proxy.cut("AmazonSSM.SendCommand", Moment.BEFORE_ANSWER, server.kill)
    ...                                                            # the server acts; its answer is lost
    cut.wait()                                                     # raises AssertionError if the moment never came

The caller whose request was cut sees a broken connection, as it does when a server dies.
"""

import contextlib
import http.client
import http.server
import socket
import threading
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

from tests.e2e.servers import ServerProcess

UPSTREAM_SECONDS = 60.0


class Moment(Enum):
    """When to cut."""

    BEFORE_SERVER = "before the server has the request"
    BEFORE_ANSWER = "after the server has acted, before its answer arrives"


class Cut:
    """One cut to come: at the `nth` request of that target from now on (or the nth answer that has `answer` in it).

    With `caller`, only requests count that name this node: several hosts call the same operations by their own clocks.
    """

    def __init__(
        self, target: str, moment: Moment, action: Callable[[], None], nth: int, answer: bytes, caller: str
    ) -> None:
        self.target, self.moment, self.action, self.left, self.answer = target, moment, action, nth, answer
        self._caller = caller.encode()
        self._happened = threading.Event()

    def concerns(self, target: str, moment: Moment, request: bytes, answer: bytes) -> bool:
        return (self.target, self.moment) == (target, moment) and self._caller in request and self.answer in answer

    def happen(self) -> None:
        self.action()
        self._happened.set()

    def wait(self, seconds: float = 25.0) -> None:
        came = self._happened.wait(seconds)
        assert came, f"no {self.target} came in {seconds:g} seconds to be cut {self.moment.value}"


class CuttingProxy:
    """Listens on `address` for plain HTTP. `upstream` may be changed; `requests` counts targets that came."""

    def __init__(self, address: str, upstream: ServerProcess | None = None) -> None:
        self.upstream = upstream
        self.requests: Counter[str] = Counter()
        self._cuts: list[Cut] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def cut(
        self,
        target: str,
        moment: Moment,
        action: Callable[[], None],
        nth: int = 1,
        answer: bytes = b"",
        caller: str = "",
    ) -> Cut:
        cut = Cut(target, moment, action, nth, answer, caller)
        with self._lock:
            self._cuts.append(cut)
        return cut

    def due(self, target: str, moment: Moment, request: bytes, answer: bytes = b"") -> Cut | None:
        """The cut for which this moment of a request is the one."""
        with self._lock:
            for cut in self._cuts:
                if cut.concerns(target, moment, request, answer):
                    cut.left -= 1
                    if cut.left == 0:
                        self._cuts.remove(cut)
                        return cut
        return None

    def count(self, target: str) -> None:
        with self._lock:
            self.requests[target] += 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: CuttingProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        target = self.headers.get("x-amz-target", "")
        self.owner.count(target)
        request = self.headers.get("authorization", "").encode() + body  # a node is named in one of them
        cut = self.owner.due(target, Moment.BEFORE_SERVER, request)
        answer = self._forward(body) if cut is None else None
        if answer is not None:
            cut = self.owner.due(target, Moment.BEFORE_ANSWER, request, answer[1])
        if cut is not None:
            cut.happen()
        if cut is not None or answer is None:
            self._break_off()
            return
        response, content = answer
        with contextlib.suppress(OSError):  # a caller that is gone
            self._pass_on(response, content)

    def _pass_on(self, response: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes] | None:
        """The server's answer to this request, None if there is none."""
        upstream = self.owner.upstream
        if upstream is None:
            return None
        connection = http.client.HTTPConnection(upstream.address, upstream.port, timeout=UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _break_off(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
