"""The daemon: heartbeat, long poll or push channel, commands in threads, and all of it again after what went wrong.

A server that is down, a network that is away and credentials that are refused are normal: they cost a pause and a line
in the log. A journal that can't be written is not: then nothing more is started, and the daemon ends.
"""

import os
import select
import signal
import time

from patchwright_agent import platform
from patchwright_agent.daemon import backoff, command_run, log, storage
from patchwright_agent.daemon.boot_report import BootReport
from patchwright_agent.daemon.channel import Channel
from patchwright_agent.daemon.command_pool import CommandPool
from patchwright_agent.daemon.intake import Intake, PollDoor
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
CHANNEL_LOOK_SECONDS = 15.0  # with the push channel open: as often as a poll would come round
REBOOT_CHECK_SECONDS = 0.5
SHUTDOWN_SECONDS = 8.0


class _Interrupted(Exception):
    """A signal came while nothing was being done but waiting."""


def _signal_self() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


class Daemon:
    """Runs until a signal ends it, or with `once` until a command is finished or nothing came for 30 seconds."""

    def __init__(self, context: command_run.Context, reboot: Reboot, once: bool, push: bool = True) -> None:
        self._context = context
        self._node = context.node
        self._journal = context.journal
        self.pool = CommandPool(context)
        self._reboot = reboot
        self._intake = Intake(context, self.pool, reboot)
        self._poll_door = PollDoor(context)
        self._push = Channel(context, self._intake.take)
        self._boot_report = BootReport(context.state_dir)
        self._once = once
        self._may_push = push and not once  # which is over before a channel pays
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
        if self._may_push:
            self._node.channel = self._push
            self._push.on_change = _signal_self
            self._push.start()
        try:
            while not self._stopping and self._failure() is None and not self._once_is_over():
                self._pause(self._turn())
        finally:
            self.pool.shut_down(SHUTDOWN_SECONDS)
            self._push.stop()
            self._boot_report.stop()
        failure = self._failure()
        if failure is not None:
            log.say("stopped: %s. What was recorded is kept; it goes on at the next start" % failure)
            return 1
        log.say("ended")
        return 0

    def _failure(self) -> "Optional[BaseException]":
        return self.pool.failure or self._push.failure

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
            pause = CHANNEL_LOOK_SECONDS if self._push.is_open else self._poll()
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
        self._has_probed, self._channel = True, "ssmmessages" if self._push.is_open else "ec2messages"
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
                # What time.sleep was until Python 3.11, which waits until an instant: under libfaketime that fails.
                self._interruptibly(lambda: select.select([], [], [], seconds))
            except _Interrupted:
                pass

    def take(self, raw: "Any") -> bool:
        """Take one message that a poll has brought; whether it began something new."""
        return self._intake.take(raw, self._poll_door)
