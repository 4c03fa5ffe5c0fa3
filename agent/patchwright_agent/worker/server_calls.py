"""Calls to the server, repeated while it cannot be reached or is briefly unable to answer."""

import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple, Type

from patchwright_agent import text

TARGET_PREFIX = "Patchwright."
CALL_TIMEOUT_SECONDS = 60
# Waits between attempts: about two minutes in all, so that a server that restarts, or a link that flaps, costs no run.
BACKOFF_SECONDS = (1, 2, 4, 8, 15, 30, 30, 30)
# Half an hour: the report of a transaction must survive a server that is being upgraded.
PATIENT_BACKOFF_SECONDS = (*BACKOFF_SECONDS, *((60,) * 28))
_TOO_MANY_REQUESTS = 429


class Unanswered(Exception):
    """The server gave no answer in all attempts."""


class Refused(Exception):
    """The server answered with an error. `code` is the error's name on the wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("the server refused: %s: %s" % (text.field(code, 100), text.field(message)))
        self.code = code


class TransportErrors(NamedTuple):
    """The exceptions of the transport in use: an answered error (code, message, status), and no answer (reason)."""

    answered: Type[Any]
    unreachable: Type[Any]


class ServerCalls:
    """Calls operations in the name of one run."""

    def __init__(
        self,
        server: Any,
        errors: TransportErrors,
        token: str,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = server
        self._errors = errors
        self._token = token
        self._tell = tell
        self._sleep = sleep
        self._waits: Tuple[int, ...] = BACKOFF_SECONDS

    def be_patient(self) -> None:
        """Wait longer for the server from here on."""
        self._waits = PATIENT_BACKOFF_SECONDS

    def call(self, operation: str, body: Dict[str, Any]) -> Dict[str, Any]:
        """The answer to `operation`. Raises Refused, or Unanswered after the last attempt."""
        last = ""
        for wait in (*self._waits, None):
            reason = self._attempt(operation, body)
            if isinstance(reason, dict):
                return reason
            last = reason
            if wait is not None:
                self._tell("%s: %s; next attempt in %d s" % (operation, reason, wait))
                self._sleep(wait)
        raise Unanswered("%s failed %d times; last: %s" % (operation, len(self._waits) + 1, last))

    def _attempt(self, operation: str, body: Dict[str, Any]) -> Any:
        """The answer (a dict), or why another attempt makes sense (a str)."""
        try:
            return self._server.call(TARGET_PREFIX + operation, body, bearer=self._token, timeout=CALL_TIMEOUT_SECONDS)
        except self._errors.unreachable as error:
            return "the server cannot be reached (%s)" % text.field(str(error))
        except self._errors.answered as error:
            status = _status(error)
            if status is not None and (status >= 500 or status == _TOO_MANY_REQUESTS):
                return "the server cannot answer now (HTTP %d)" % status
            raise Refused(str(error.code), str(error.message))


def _status(error: Any) -> Optional[int]:
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None
