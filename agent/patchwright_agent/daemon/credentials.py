"""The node's temporary key triple: kept over restarts, refreshed at half of its life.

Source: spec/agent-protocol.md 4.2.
"""

import os
import threading

from patchwright_agent.daemon import backoff, log, storage
from patchwright_agent.transport import ServerError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from patchwright_agent.daemon.clock import Clock
    from patchwright_agent.daemon.identity import Identity
    from patchwright_agent.transport import Server

MAX_WAIT_SECONDS = 1800.0
MIN_REJECTED_SECONDS = 60.0  # a triple younger than this isn't given up when the server rejects it
_REFUSALS = ("AccessDeniedException", "MachineFingerprintDoesNotMatch")
_TEXT_MEMBERS = ("AccessKeyId", "SecretAccessKey", "SessionToken")


class NoCredentials(Exception):
    """There is no valid triple now; `wait_seconds` until the next attempt is allowed."""

    def __init__(self, reason: str, wait_seconds: float) -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.wait_seconds = wait_seconds


class Triple:
    """Access key, secret and session token, with their life in epoch seconds of the server's clock."""

    __slots__ = ("access_key_id", "expires_at", "issued_at", "secret_access_key", "session_token")

    def __init__(
        self, access_key_id: str, secret_access_key: str, session_token: str, issued_at: float, expires_at: float
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token
        self.issued_at = issued_at
        self.expires_at = expires_at

    @property
    def refresh_at(self) -> float:
        return (self.issued_at + self.expires_at) / 2


class Credentials:
    """Hands out the triple; asks the server for a new one when that is due and allowed. Safe for several threads."""

    def __init__(self, node: "Identity", server: "Server", state_dir: str, clock: "Clock") -> None:
        self._node = node
        self._server = server
        self._path = os.path.join(state_dir, "credentials.json")
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._next_attempt_at = 0.0
        self._triple = self._stored()

    def current(self) -> Triple:
        """A triple that has not expired. Raises NoCredentials."""
        with self._lock:
            now = self._clock.server_now()
            if self._triple is not None and now < self._triple.refresh_at:
                return self._triple
            if now >= self._next_attempt_at:
                reason = self._refresh()
            else:
                reason = "the next attempt to get credentials is not due yet"
            if self._triple is None or self._clock.server_now() >= self._triple.expires_at:
                self._triple = None
                raise NoCredentials(reason, max(self._next_attempt_at - self._clock.server_now(), 1.0))
            return self._triple

    def rejected(self, triple: Triple) -> None:
        """The server rejects `triple`: ask for a new one next time, unless it is brand-new."""
        with self._lock:
            is_fresh = self._clock.server_now() - triple.issued_at < MIN_REJECTED_SECONDS
            if self._triple is triple and not is_fresh:
                self._triple = None

    def _refresh(self) -> str:
        """Ask once; "" or why it failed."""
        try:
            self._triple = self._request()
        except Unreachable as error:
            reason, wait = error.reason, 2.0**self._failures * (1 + 0.2 * backoff.fraction())
        except ServerError as error:
            reason = str(error)
            if error.code in _REFUSALS:
                wait = 1500.0 + 300.0 * backoff.fraction()
            else:
                wait = 2.0**self._failures * (1 + 0.2 * backoff.fraction()) + 10 + 10 * backoff.fraction()
        else:
            self._failures, self._next_attempt_at = 0, 0.0
            try:
                self._store(self._triple)
            except storage.StorageError as error:
                log.say("%s; the new credentials are used, but not kept over a restart" % error)
            return ""
        wait = min(wait, MAX_WAIT_SECONDS)
        self._failures = min(self._failures + 1, 20)
        self._next_attempt_at = self._clock.server_now() + wait
        log.say("no new credentials: %s; next attempt in %d s" % (reason, round(wait)))
        return reason

    def _request(self) -> Triple:
        try:
            return self._request_once()
        except ServerError:
            # A wrong clock makes a bad signature; the refusal's Date has just told the right time.
            if self._server.clock_offset is None or not self._clock.observe(self._server.clock_offset):
                raise
            return self._request_once()

    def _request_once(self) -> Triple:
        from patchwright_agent.daemon import sigv4

        now = self._clock.server_now()
        sign = sigv4.rsa_signer(self._node.instance_id, self._node.key(), self._node.region, now)
        answer = self._server.call(
            "AmazonSSM.RequestManagedInstanceRoleToken", {"Fingerprint": self._node.fingerprint}, sign=sign
        )
        if self._server.clock_offset is not None:
            self._clock.observe(self._server.clock_offset)
        triple = _triple_from(answer, self._clock.server_now())
        if triple is None or triple.expires_at <= self._clock.server_now():
            raise ServerError("MalformedAnswer", "the server's answer holds no valid credentials", 200)
        if answer.get("UpdateKeyPair") is True:
            log.say("the server asks for a new registration key; this version can't rotate it: register anew instead")
        return triple

    def _stored(self) -> "Optional[Triple]":
        try:
            stored = storage.read_json(self._path)
        except storage.StorageError as error:
            log.say("%s; asking for new credentials" % error)
            return None
        if stored is None or stored.get("InstanceId") != self._node.instance_id:
            return None
        offset = stored.get("ClockOffset")
        if isinstance(offset, (int, float)):
            self._clock.observe(float(offset))
        issued_at = stored.get("IssuedAt")
        triple = _triple_from(stored, float(issued_at) if isinstance(issued_at, (int, float)) else 0.0)
        return triple if triple is not None and triple.expires_at > self._clock.server_now() else None

    def _store(self, triple: Triple) -> None:
        storage.write_json(
            self._path,
            {
                "InstanceId": self._node.instance_id,
                "AccessKeyId": triple.access_key_id,
                "SecretAccessKey": triple.secret_access_key,
                "SessionToken": triple.session_token,
                "IssuedAt": triple.issued_at,
                "TokenExpirationDate": triple.expires_at,
                "ClockOffset": self._clock.offset,
            },
        )


def _triple_from(answer: "Dict[str, Any]", issued_at: float) -> "Optional[Triple]":
    values = [answer.get(name) for name in _TEXT_MEMBERS]
    expires_at = answer.get("TokenExpirationDate")
    if not all(isinstance(value, str) and value for value in values) or not isinstance(expires_at, (int, float)):
        return None
    return Triple(str(values[0]), str(values[1]), str(values[2]), issued_at, float(expires_at))
