"""`fetch FILE`: one download over HTTP(S), as a step of aws:downloadContent starts it. Source: spec/operations.md 2.3.

FILE holds {"source": {"url", "allowInsecureDownload", "authMethod", "username", "password"}, "target": path}.
What is not https needs allowInsecureDownload, unless it is this node's own server, whose certificate is checked by the
node's own CA. A redirect may not lead away from https. The file appears whole or not at all.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List

MAX_BYTES = 1024 * 1024 * 1024
SOCKET_SECONDS = 60
_PIECE = 256 * 1024


class Refused(Exception):
    """Nothing was fetched; the message says why."""


def main(argv: "List[str]") -> int:
    """0 fetched, 1 not, with the reason on standard error."""
    try:
        with open(argv[0], encoding="utf-8") as file:
            order = json.load(file)
        size = fetch(order["source"], order["target"], os.environ)
    except (Refused, OSError, ValueError, KeyError, IndexError) as error:
        sys.stderr.write("not downloaded: %s\n" % (error or type(error).__name__))
        return 1
    print("Content downloaded to %s (%d bytes)" % (order["target"], size))
    return 0


def fetch(source: "Dict[str, Any]", target: str, variables: "Any") -> int:
    """The size of what was fetched into `target`. Raises Refused, OSError, ValueError."""
    with opened(source, variables) as answer:
        return _save(answer, target)


def opened(source: "Dict[str, Any]", variables: "Any") -> "Any":
    """The answer to a GET of the source, whose body is still to be read. Raises Refused, OSError, ValueError."""
    import urllib.request

    url = str(source.get("url", ""))
    is_own = _is_own(url, variables)
    is_insecure = str(source.get("allowInsecureDownload", "")).lower() == "true"
    if not url.startswith("https://") and not (url.startswith("http://") and (is_own or is_insecure)):
        raise Refused("the url is not https, and allowInsecureDownload is not true")
    ca_file = variables.get("PATCHWRIGHT_CA_FILE", "") if is_own else ""
    opener = urllib.request.OpenerDirector()
    for handler in _handlers(source, url, ca_file):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "patchwright-agent")]
    return opener.open(url, timeout=SOCKET_SECONDS)


def _handlers(source: "Dict[str, Any]", url: str, ca_file: str) -> "List[Any]":
    import urllib.request

    from patchwright_agent.transport import tls_context

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: "Any", fp: "Any", code: int, msg: str, headers: "Any", newurl: str) -> "Any":
            if not newurl.startswith("https://"):
                raise Refused("the server redirects to something that is not https")
            new = super().redirect_request(req, fp, code, msg, headers, newurl)
            if new is not None and new.host != req.host:
                new.remove_header("Authorization")  # it was given for that host alone
            return new

    found = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=tls_context(ca_file or None)),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        Redirects(),
    ]
    if not ca_file:
        found.append(urllib.request.ProxyHandler())
    method = str(source.get("authMethod") or "None")
    if method in ("Basic", "Digest"):
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, str(source.get("username", "")), str(source.get("password", "")))
        basic, digest = urllib.request.HTTPBasicAuthHandler, urllib.request.HTTPDigestAuthHandler
        found.append((basic if method == "Basic" else digest)(passwords))
    elif method != "None":
        raise Refused("authMethod is none of None, Basic and Digest")
    return found


def _is_own(url: str, variables: "Any") -> bool:
    server = variables.get("PATCHWRIGHT_SERVER", "").rstrip("/")
    return bool(server) and url.startswith(server + "/")


def _save(answer: "Any", target: str) -> int:
    unfinished = "%s.%d.part" % (target, os.getpid())
    size = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Runnable by its owner, since scripts are what is downloaded for the most part.
        with os.fdopen(os.open(unfinished, flags, 0o700), "wb") as file:
            while True:
                piece = answer.read(_PIECE)
                if not piece:
                    break
                size += len(piece)
                if size > MAX_BYTES:
                    raise Refused("it is larger than %d bytes" % MAX_BYTES)
                file.write(piece)
        announced = answer.headers.get("Content-Length")
        if announced is not None and announced.isdigit() and int(announced) != size:
            raise Refused("it ended after %d of %s bytes" % (size, announced))
        os.rename(unfinished, target)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    return size
