"""Stored replies on their way to the server: in order, with the same reply id each time, until each is taken."""

import threading

from patchwright_agent.daemon import log, replies
from patchwright_agent.daemon.command_state import SENT
from patchwright_agent.daemon.credentials import NoCredentials
from patchwright_agent.transport import ServerError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from patchwright_agent.daemon.command_state import CommandState
    from patchwright_agent.daemon.journal import Journal
    from patchwright_agent.daemon.node import Node

MAX_AT_ONCE = 4  # replies on their way before the first of them is acknowledged
SEND_FAILURES = (ServerError, Unreachable, NoCredentials)


class Outbox:
    """Sends what the journal holds. Safe for several threads."""

    def __init__(self, journal: "Journal", node: "Node") -> None:
        self._journal = journal
        self._node = node
        self._lock = threading.Lock()

    def flush(self, state: "CommandState") -> bool:
        """Send a command's stored replies that are not sent yet; whether all are now. Raises JournalError."""
        with self._lock:
            unsent = [one for one in replies.stored(state) if one[0] not in state.sent]
            for reply_id, payload in unsent[:MAX_AT_ONCE]:
                self._node.begin_reply(state.message_id, reply_id, payload)
            for reply_id, payload in unsent:
                try:
                    self._node.send_reply(state.message_id, reply_id, payload)
                except SEND_FAILURES as error:
                    log.say("a reply of command %s is kept, to be sent later: %s" % (state.id, error))
                    return False
                self._journal.append(SENT, state.id, reply_id=reply_id)
            return True

    def send_unstored(self, message_id: str, reply_id: str, payload: str) -> None:
        """Send a reply that nobody has to have; a failure is no matter."""
        try:
            self._node.send_reply(message_id, reply_id, payload)
        except SEND_FAILURES as error:
            log.say("a reply was not sent: %s" % error)
