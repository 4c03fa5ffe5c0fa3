"""The document that an order names (InstallOverrideList, BaselineOverride): fetched here, read by the server.

This host fetches it, over its own network; the server parses it, checks it and says what it means.
Source: design decision 8; worker-protocol.md, PutOverride.
"""

import os
import time
from typing import Any, Callable, Dict, NamedTuple

from patchwright_agent import text
from patchwright_agent.worker.server_calls import ServerCalls

MAX_BYTES = 1048576
MAX_SECONDS = 300
MAX_MESSAGE_CHARACTERS = 500
DENIED, NOT_FETCHED, TOO_LARGE, NOT_TEXT = "DENIED", "NOT_FETCHED", "TOO_LARGE", "NOT_TEXT"
RETRY_SECONDS = (2, 10)
"""A mirror that restarts, or a name server that hiccups, costs no run."""
_DENIED_STATUSES = (401, 403)


class Fetched(NamedTuple):
    """The document's text; or the problem, by its name on the wire, and what to say of it."""

    body: str = ""
    problem: str = ""
    message: str = ""


def put(calls: ServerCalls, run_id: str, url: str, fetch: "Callable[[str], Fetched]") -> Dict[str, Any]:
    """Fetch the document and tell the server; its answer. Raises Refused or Unanswered."""
    fetched = fetch(url)
    body: Dict[str, Any] = {"RunId": run_id}
    if fetched.problem:
        body["Problem"] = fetched.problem
        body["Message"] = fetched.message[:MAX_MESSAGE_CHARACTERS]
    else:
        body["Body"] = fetched.body
    return calls.call("PutOverride", body)


def fetch(url: str, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """The document at an https:// address. Never raises; the address, which may hold a secret, is in no message."""
    fetched = Fetched()
    for wait in (*RETRY_SECONDS, None):
        fetched = _attempt(url)
        if fetched.problem != NOT_FETCHED or wait is None:
            break
        sleep(wait)
    return fetched


def _attempt(url: str) -> Fetched:
    import http.client
    import urllib.error

    from patchwright_agent import fetch as downloads

    try:
        content = _read(url)
    except downloads.Refused as error:
        return Fetched(problem=TOO_LARGE if str(error) == _LARGE else NOT_FETCHED, message=str(error))
    except urllib.error.HTTPError as error:
        problem = DENIED if error.code in _DENIED_STATUSES else NOT_FETCHED
        return Fetched(problem=problem, message="HTTP %d" % error.code)
    except urllib.error.URLError as error:
        return Fetched(problem=NOT_FETCHED, message=text.field(str(error.reason)))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Fetched(problem=NOT_FETCHED, message=text.field("%s: %s" % (type(error).__name__, error)))
    try:
        return Fetched(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Fetched(problem=NOT_TEXT)


_LARGE = "it is larger than %d bytes" % MAX_BYTES


def _read(url: str) -> bytes:
    from patchwright_agent import fetch as downloads

    until = time.monotonic() + MAX_SECONDS
    pieces, size = [], 0
    with downloads.opened({"url": url}, os.environ) as answer:
        while True:
            piece = answer.read1(65536)
            if not piece:
                break
            size += len(piece)
            pieces.append(piece)
            if size > MAX_BYTES:
                raise downloads.Refused(_LARGE)
            if time.monotonic() > until:
                raise downloads.Refused("it was not complete after %d seconds" % MAX_SECONDS)
        announced = answer.headers.get("Content-Length")
    if announced is not None and announced.isdigit() and int(announced) != size:
        raise downloads.Refused("it ended after %d of %s bytes" % (size, announced))
    return b"".join(pieces)
