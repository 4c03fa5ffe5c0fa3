"""The daemon: heartbeat, long poll, commands in threads, and everything again after whatever went wrong.

A server that is down, a network that is away and credentials that are refused are normal: they cost a pause and a line
in the log. A journal that can't be written is not: then nothing more is started, and the daemon ends.
"""

import os
import signal
import time

from patchwright_agent import platform
from patchwright_agent.daemon import backoff, command_run, log, messages, replies, storage
from patchwright_agent.daemon.boot_report import BootReport
from patchwright_agent.daemon.command_pool import CommandPool
from patchwright_agent.daemon.command_state import ACKED, CANCELLED, RECEIVED
from patchwright_agent.daemon.main import UPDATE_RECORD
from patchwright_agent.daemon.outbox import SEND_FAILURES
from patchwright_agent.daemon.reboot import RESTARTED_DELAY_SECONDS, Reboot
from patchwright_agent.transport import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, List, Optional, TypeVar

    _T = TypeVar("_T")

HEARTBEAT_SECONDS = 300.0
HEARTBEAT_RETRY_SECONDS = 60.0
ONCE_IDLE_SECONDS = 30.0
RESEND_BASE_SECONDS, RESEND_CAP_SECONDS = 5.0, 300.0
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 1.0, 120.0
QUICK_ANSWER_SECONDS = 1.0  # a poll answered sooner is followed by a pause, lest the two of us spin
QUICK_PAUSE_SECONDS = 2.0
FULL_PAUSE_SECONDS = 5.0
REBOOT_CHECK_SECONDS = 0.5
SHUTDOWN_SECONDS = 8.0


class _Interrupted(Exception):
    """A signal came while nothing was being done but waiting."""


def _signal_self() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


class Daemon:
    """Runs until a signal ends it, or with `once` until a command is finished or nothing came for 30 seconds."""

    def __init__(self, context: command_run.Context, reboot: Reboot, once: bool) -> None:
        self._context = context
        self._node = context.node
        self._journal = context.journal
        self.pool = CommandPool(context)
        self._reboot = reboot
        self._boot_report = BootReport(context.state_dir)
        self._once = once
        self._stopping = False
        self.is_restarting = False
        self._is_waiting = False
        self._has_probed = False
        self._channel = ""
        self._heartbeat_at = 0.0
        self._resend_at = 0.0
        self._resend = backoff.Backoff(RESEND_BASE_SECONDS, RESEND_CAP_SECONDS)
        self._retry = backoff.Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        self._last_trouble = ""
        self._active_at = time.monotonic()

    def run(self) -> int:
        """The exit code: 0 after a clean end, 1 when the work had to stop. Raises JournalError."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_attention)
        self.pool.on_attention = _signal_self
        self._context.others_run = lambda: self.pool.count > 1
        self._context.restart = self._restart
        self.resume()
        self._boot_report.start()
        try:
            while not self._stopping and self.pool.failure is None and not self._once_is_over():
                self._pause(self._turn())
        finally:
            self.pool.shut_down(SHUTDOWN_SECONDS)
            self._boot_report.stop()
        if self.pool.failure is not None:
            log.say("stopped: %s. What was recorded is kept; it goes on at the next start" % self.pool.failure)
            return 1
        log.say("ended")
        return 0

    def _on_signal(self, number: int, frame: "Optional[FrameType]") -> None:
        self._stopping = True
        self._on_attention(number, frame)

    def _on_attention(self, number: int, frame: "Optional[FrameType]") -> None:
        """Break off a poll or a pause, so that the loop looks around."""
        del number, frame
        if self._is_waiting:
            self._is_waiting = False
            raise _Interrupted()

    def _restart(self) -> None:
        """End, for another program to go on in this process's place."""
        self.is_restarting = True
        self._stopping = True
        _signal_self()

    def _once_is_over(self) -> bool:
        if not self._once:
            return False
        is_done = self.pool.finished and not self._journal.commands
        is_idle = time.monotonic() - self._active_at >= ONCE_IDLE_SECONDS
        return bool(is_done or is_idle) and not self.pool.is_busy

    def resume(self) -> None:
        """Take up the commands that an earlier run left, and clear away what finished ones left."""
        folder = os.path.dirname(self._context.command_dir("-"))
        storage.prepare_dir(folder)
        for name in os.listdir(folder):
            if name not in self._journal.commands:
                command_run.remove_tree(os.path.join(folder, name))
        for state in sorted(self._journal.commands.values(), key=lambda state: state.received_at):
            log.say("resuming command %s (%s)" % (state.id, state.name))
            if any(start.reboot_boot_id == platform.boot_id() for start in state.starts.values()):
                # The agent was restarted in the same boot: the reboot may be scheduled already.
                self._reboot.want(time.monotonic(), RESTARTED_DELAY_SECONDS)
            self.pool.submit(state)

    def _turn(self) -> float:
        """One round; the seconds to pause after it."""
        self._tend_reboot()
        try:
            self._tend_heartbeat()
            self._tend_replies()
            if self._once and self.pool.is_busy:
                self._wait_for_command()
                return 0.0
            if self._reboot.is_near(time.monotonic()):
                return REBOOT_CHECK_SECONDS
            pause = self._poll()
        except _Interrupted:
            return 0.0
        except SEND_FAILURES as error:
            return self._after_trouble(error)
        self._retry.succeeded()
        if self._last_trouble:
            self._last_trouble = ""
            log.say("the server answers again")
        return pause

    def _after_trouble(self, error: Exception) -> float:
        if str(error) != self._last_trouble:
            self._last_trouble = str(error)
            log.say("no messages: %s; trying again and again" % error)
        if isinstance(error, Unreachable):
            # The first call that gets through is a heartbeat: the node is Online at once, and kept replies follow.
            self._heartbeat_at = 0.0
        return max(self._retry.failed(), min(getattr(error, "wait_seconds", 0.0), RETRY_CAP_SECONDS))

    def _tend_heartbeat(self) -> None:
        now = time.monotonic()
        if now < self._heartbeat_at:
            return
        self._heartbeat_at = now + HEARTBEAT_RETRY_SECONDS
        is_first = not self._has_probed
        if is_first:
            self._node.send_probe()
        self._node.send_heartbeat(self._channel)
        if self._last_trouble:
            self._resend_at = 0.0
        if is_first:
            self._confirm_update()
        spread = backoff.fraction() if is_first else 0.9 + 0.2 * backoff.fraction()
        self._has_probed, self._channel = True, "ec2messages"
        self._heartbeat_at = now + HEARTBEAT_SECONDS * spread

    def _confirm_update(self) -> None:
        """The server has answered: if this agent is a new one, it stays."""
        if not os.path.exists(os.path.join(self._context.state_dir, UPDATE_RECORD)):
            return
        from patchwright_agent.daemon import agent_update

        agent_update.confirm(self._context.state_dir)

    def _tend_replies(self) -> None:
        """Send stored replies that could not be sent when they were due."""
        if time.monotonic() < self._resend_at:
            return
        unsent = [state for state in list(self._journal.commands.values()) if state.final is not None]
        unsent = [state for state in unsent if not self.pool.unsettled(state.id)]
        for state in unsent:
            if not command_run.deliver(self._context, state):
                self._resend_at = time.monotonic() + self._resend.failed()
                return
        if unsent:
            self._resend.succeeded()

    def _tend_reboot(self) -> None:
        now = time.monotonic()
        if not self.pool.awaits_reboot:
            if not self.pool.is_busy:
                self._reboot.forget()
            return
        self._reboot.want(now)
        if not self._reboot.is_due(now, self.pool.is_busy) or self.pool.is_in_transaction:
            return
        if self._reboot.is_given_up:
            log.say("the reboot did not happen; the commands that wait for it go on without")
            self.pool.give_up_reboot()
        else:
            self._reboot.attempt(now)
            self._stopping = self._stopping or self._once

    def _wait_for_command(self) -> None:
        self._active_at = time.monotonic()
        self.pool.changed.wait(1.0)
        self.pool.changed.clear()

    def _poll(self) -> float:
        started = time.monotonic()
        try:
            raw_messages = self._get_messages()
        except Unreachable:
            if time.monotonic() - started < QUICK_ANSWER_SECONDS * 15:
                raise
            return QUICK_PAUSE_SECONDS * backoff.fraction()  # the server held the poll too long: not an error
        accepted = sum([self.take(raw) for raw in raw_messages])
        if accepted:
            self._active_at = time.monotonic()
            return 0.0
        if raw_messages and not self.pool.has_room:
            return FULL_PAUSE_SECONDS
        is_quick = time.monotonic() - started < QUICK_ANSWER_SECONDS
        return QUICK_PAUSE_SECONDS + 0.5 * backoff.fraction() if is_quick else 0.0

    def _get_messages(self) -> "List[Any]":
        if not self._once:
            return self._interruptibly(self._node.get_messages)
        remaining = self._active_at + ONCE_IDLE_SECONDS - time.monotonic()
        return self._interruptibly(lambda: self._node.get_messages(max(remaining, 1.0)))

    def _interruptibly(self, wait: "Callable[[], _T]") -> "_T":
        """Do something that a signal may break off."""
        try:
            self._is_waiting = True
            if self._stopping:
                raise _Interrupted()
            return wait()
        finally:
            self._is_waiting = False

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            try:
                self._interruptibly(lambda: time.sleep(seconds))
            except _Interrupted:
                pass

    def take(self, raw: "Any") -> bool:
        """Take one message; whether it began something new. A message that isn't acknowledged comes again."""
        try:
            message = messages.parse_message(raw, self._node.instance_id)
        except messages.Unusable as unusable:
            log.say("a message was not taken: %s" % unusable.reason)
            if unusable.message_id:
                self._node.fail_message(unusable.message_id, "InternalHandlerException")
            return False
        if message.kind == messages.CANCEL_COMMAND:
            self._cancel(message)
            return False
        if self._journal.is_known(message.command_id):
            self._answer_again(message)
            return False
        if not self.pool.has_room or self._reboot.is_wanted:
            return False
        self._accept(message)
        return True

    def _accept(self, message: messages.Message) -> None:
        """Record the order before anything else; then say so, acknowledge, run it."""
        name = messages.document_name(message.payload)
        members = {"message_id": message.message_id, "name": name, "payload": message.payload}
        self._journal.append(RECEIVED, message.command_id, **members)
        state = self._journal.commands[message.command_id]
        try:
            command_run.read_order(message.payload, self._context.scan_only)
        except command_run.Refused as refusal:
            command_run.refuse(self._context, state, refusal)  # its final reply counts as acknowledgement
            self.pool.finished += command_run.deliver(self._context, state)
            return
        log.say("command %s (%s) received" % (message.command_id, name))
        try:
            self._say_in_progress(message)
        except SEND_FAILURES:  # it is safe here; the server will deliver it again, to be acknowledged
            self.pool.submit(state)
            raise
        self._journal.append(ACKED, message.command_id)
        self.pool.submit(state)

    def _answer_again(self, message: messages.Message) -> None:
        """A command that is known already: the acknowledgement or the final reply was lost."""
        self._say_in_progress(message)
        state = self._journal.commands.get(message.command_id)
        if state is not None:
            self._journal.append(ACKED, message.command_id)
            return
        stored = self._journal.stored_final(message.command_id)
        if stored is not None:
            self._node.send_reply(message.message_id, stored[0], stored[1])

    def _cancel(self, message: messages.Message) -> None:
        target = messages.cancelled_command(message.payload, self._node.instance_id)
        state = self._journal.commands.get(target)
        if state is not None and state.final is None:
            self._journal.append(CANCELLED, target)
            log.say("cancelling command %s" % target)
            self.pool.cancel(target)
        self._say_in_progress(message)

    def _say_in_progress(self, message: messages.Message) -> None:
        payload = replies.accepted(self._context.clock.server_now())
        self._context.outbox.send_unstored(message.message_id, backoff.uuid4(), payload)
        self._node.acknowledge(message.message_id)
