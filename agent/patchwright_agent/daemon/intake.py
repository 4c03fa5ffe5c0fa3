"""Messages taken, whichever door they came by: each command is recorded once before anything else is done with it.

The poll and the push channel drain one queue. What both of them bring is taken once, since the journal knows it.
"""

import threading

from patchwright_agent.daemon import backoff, command_run, log, messages, replies
from patchwright_agent.daemon.command_state import ACKED, CANCELLED, RECEIVED
from patchwright_agent.daemon.outbox import SEND_FAILURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from patchwright_agent.daemon.command_pool import CommandPool
    from patchwright_agent.daemon.reboot import Reboot


class PollDoor:
    """What is said of a message that a poll has brought."""

    def __init__(self, context: command_run.Context) -> None:
        self._context = context

    def take(self, message_id: str) -> None:
        """It is recorded. Raises one of SEND_FAILURES."""
        payload = replies.accepted(self._context.clock.server_now())
        self._context.outbox.send_unstored(message_id, backoff.uuid4(), payload)
        self._context.node.acknowledge(message_id)

    def refuse(self, message_id: str, reason: str) -> None:
        """It can't be used, now or later."""
        del reason
        self._context.node.fail_message(message_id, "InternalHandlerException")

    def put_off(self, message_id: str) -> None:
        """There is no room for it now: without an acknowledgement it comes again."""

    def send_final(self, message_id: str, reply_id: str, payload: str) -> None:
        """The final reply of a closed command, once more. Raises one of SEND_FAILURES."""
        self._context.node.send_reply(message_id, reply_id, payload)


class Intake:
    """Takes messages into journal and pool. Safe for several threads."""

    def __init__(self, context: command_run.Context, pool: "CommandPool", reboot: "Reboot") -> None:
        self._context = context
        self._journal = context.journal
        self._instance_id = context.node.instance_id
        self._pool = pool
        self._reboot = reboot
        self._lock = threading.Lock()

    def take(self, raw: "Any", door: PollDoor) -> bool:
        """Take one message; whether it began something new. A message that isn't acknowledged comes again.

        Raises JournalError, and what the door raises.
        """
        try:
            message = messages.parse_message(raw, self._instance_id)
        except messages.Unusable as unusable:
            log.say("a message was not taken: %s" % unusable.reason)
            if unusable.message_id:
                door.refuse(unusable.message_id, unusable.reason)
            return False
        with self._lock:
            # Known or not is decided and recorded by one door at a time; what is said of it needs no lock.
            is_new = message.kind == messages.SEND_COMMAND and not self._journal.is_known(message.command_id)
            if is_new:
                if not self._pool.has_room or self._reboot.is_wanted:
                    door.put_off(message.message_id)
                    return False
                name = messages.document_name(message.payload)
                members = {"message_id": message.message_id, "name": name, "payload": message.payload}
                self._journal.append(RECEIVED, message.command_id, **members)
        if message.kind == messages.CANCEL_COMMAND:
            self._cancel(message, door)
        elif is_new:
            self._accept(message, door)
        else:
            self._answer_again(message, door)
        return is_new

    def _accept(self, message: messages.Message, door: PollDoor) -> None:
        """It is recorded: now say so, acknowledge, run it."""
        state = self._journal.commands[message.command_id]
        try:
            command_run.read_order(message.payload, self._context.scan_only)
        except command_run.Refused as refusal:
            command_run.refuse(self._context, state, refusal)  # its final reply counts as acknowledgement
            self._pool.finished += command_run.deliver(self._context, state)
            return
        log.say("command %s (%s) received" % (message.command_id, state.name))
        try:
            door.take(message.message_id)
        except SEND_FAILURES:  # it is safe here; the server will deliver it again, to be acknowledged
            self._pool.submit(state)
            raise
        self._journal.append(ACKED, message.command_id)
        self._pool.submit(state)

    def _answer_again(self, message: messages.Message, door: PollDoor) -> None:
        """A command that is known already: the acknowledgement or the final reply was lost."""
        door.take(message.message_id)
        state = self._journal.commands.get(message.command_id)
        if state is not None:
            if not state.acked:
                self._journal.append(ACKED, message.command_id)
            return
        stored = self._journal.stored_final(message.command_id)
        if stored is not None:
            door.send_final(message.message_id, stored[0], stored[1])

    def _cancel(self, message: messages.Message, door: PollDoor) -> None:
        target = messages.cancelled_command(message.payload, self._instance_id)
        state = self._journal.commands.get(target)
        if state is not None and state.final is None:
            self._journal.append(CANCELLED, target)
            log.say("cancelling command %s" % target)
            self._pool.cancel(target)
        door.take(message.message_id)
