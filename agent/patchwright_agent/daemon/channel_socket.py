"""One open WebSocket to the server: sent to by several threads, heard by one, ended by whichever is first."""

import os
import select
import socket
import threading
import time

from patchwright_agent import websocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

PING_SECONDS = 54.0
SILENCE_SECONDS = 120.0  # nothing for so long, no pong either: the other end is gone
SEND_SECONDS = 10.0
_READ_BYTES = 64 * 1024
# What a socket that does not block says when there is nothing to read, or no room: in plain text, and in TLS (whose
# class is known by its name, since `ssl` is 4 MB that plain text does not need).
_NOT_NOW = ("SSLWantReadError", "SSLWantWriteError")


class Lost(Exception):
    """The socket has ended; the message says why, `code` is the close frame's, 1006 for none."""

    def __init__(self, reason: str, code: int = 1006) -> None:
        Exception.__init__(self, reason)
        self.code = code


class ChannelSocket:
    """`plain` may be a TLS socket; `rest` are bytes that came right after the upgrade."""

    def __init__(self, plain: "Any", rest: bytes = b"") -> None:
        self._socket = plain
        self._socket.setblocking(False)
        self._reader = websocket.Reader()
        self._rest = rest
        # TLS may not be read and written by two threads at once; reading here never waits inside the lock.
        self._lock = threading.Lock()
        self._is_closed = False

    def send_text(self, text: str) -> None:
        """Raises Lost."""
        self._send(websocket.TEXT, text.encode("utf-8"))

    def send(self, frame: bytes) -> None:
        """One binary message. Raises Lost."""
        self._send(websocket.BINARY, frame)

    def listen(self, hear: "Callable[[bytes], None]") -> None:
        """Call `hear` with each binary message, until the socket ends. Raises Lost, and what `hear` raises."""
        heard_at = pinged_at = time.monotonic()

        def handle(opcode: int, payload: bytes) -> None:
            if opcode == websocket.PING:
                self._send(websocket.PONG, payload)
            elif opcode == websocket.CLOSE:
                code = websocket.close_code(payload)
                self._end(websocket.NORMAL)
                raise Lost("the server closed it with code %d" % code, code)
            elif opcode == websocket.BINARY:
                hear(payload)

        try:
            self._reader.feed(self._rest, handle)
            while True:
                now = time.monotonic()
                if now - heard_at > SILENCE_SECONDS:
                    raise Lost("the server has been silent for %d seconds" % SILENCE_SECONDS)
                if now - pinged_at >= PING_SECONDS:
                    pinged_at = now
                    self._send(websocket.PING, b"keepalive")
                data = self._receive(min(pinged_at + PING_SECONDS, heard_at + SILENCE_SECONDS + 1) - now)
                if data:
                    heard_at = time.monotonic()
                    self._reader.feed(data, handle)
        except websocket.ProtocolError as error:
            self._end(error.code)
            raise Lost("the server broke the protocol: %s" % error, error.code)
        finally:
            self.close()

    def close(self) -> None:
        """End it at once; who listens hears of it."""
        self._is_closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        # Not while another thread is inside: the descriptor could be somebody else's by then.
        with self._lock:
            self._socket.close()

    def leave(self) -> None:
        """Say goodbye, then end it."""
        self._end(websocket.NORMAL)
        self.close()

    def _end(self, code: int) -> None:
        try:
            self._send(websocket.CLOSE, websocket.close_payload(code))
        except Lost:
            pass

    def _receive(self, seconds: float) -> bytes:
        """What has come, or b"" when that took too long. Raises Lost."""
        with self._lock:
            is_there = self._pending() > 0  # read by TLS already, so that no poll would tell of it
        if not is_there and not self._wait(select.POLLIN, seconds):
            return b""
        try:
            with self._lock:
                if self._is_closed:
                    raise Lost("it was closed here")
                data = bytes(self._socket.recv(_READ_BYTES))
        except OSError as error:
            if _is_not_now(error):
                return b""
            raise Lost("it broke: %s" % (error.strerror or error))
        if not data:
            raise Lost("the server closed the connection")
        return data

    def _pending(self) -> int:
        pending = getattr(self._socket, "pending", None)
        return int(pending()) if pending is not None else 0

    def _send(self, opcode: int, payload: bytes) -> None:
        data = memoryview(websocket.encode(opcode, payload, os.urandom(4)))
        deadline = time.monotonic() + SEND_SECONDS
        with self._lock:
            while data:
                if self._is_closed:
                    raise Lost("it was closed here")
                try:
                    data = data[self._socket.send(data) :]
                except OSError as error:
                    if not _is_not_now(error):
                        self._is_closed = True
                        raise Lost("it broke: %s" % (error.strerror or error))
                    if not self._wait(select.POLLOUT, deadline - time.monotonic()):
                        self._is_closed = True  # half a frame is out: nothing may follow it
                        raise Lost("the server does not read")

    def _wait(self, event: int, seconds: float) -> bool:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise Lost("it was closed here")
        poller = select.poll()  # select.select fails on descriptors above 1023
        poller.register(descriptor, event)
        return bool(poller.poll(max(seconds, 0.0) * 1000))


def _is_not_now(error: OSError) -> bool:
    return isinstance(error, BlockingIOError) or type(error).__name__ in _NOT_NOW
