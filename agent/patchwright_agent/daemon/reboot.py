"""The reboot that a step asked for with exit code 194. Whether it happened is told by the boot id, never by a clock."""

import shlex

from patchwright_agent.daemon import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

DEFAULT_COMMAND = "/sbin/shutdown -r +1"
DELAY_SECONDS = 2.0  # the replies of the step go out first
RESTARTED_DELAY_SECONDS = 90.0  # the agent was restarted in the same boot: a reboot may be scheduled already
RETRY_SECONDS = 600.0
NEAR_SECONDS = 5.0
MAX_ATTEMPTS = 3
MAX_WAIT_FOR_OTHERS_SECONDS = 300.0
COMMAND_TIMEOUT_SECONDS = 60


class Reboot:
    """When to run the reboot command, and how often. Times are those of time.monotonic."""

    def __init__(self, command: str) -> None:
        self._argv = shlex.split(command)
        self._due_at: "Optional[float]" = None
        self._attempts = 0

    @property
    def is_wanted(self) -> bool:
        return self._due_at is not None

    @property
    def is_given_up(self) -> bool:
        return self._attempts >= MAX_ATTEMPTS

    def want(self, now: float, delay: float = DELAY_SECONDS) -> None:
        """A command waits for a reboot. No effect if one is under way."""
        if self._due_at is None:
            self._due_at = now + delay

    def forget(self) -> None:
        self._due_at, self._attempts = None, 0

    def is_near(self, now: float) -> bool:
        """Whether it is too close for a poll: it would hold up the one or be cut by the other."""
        return self._due_at is not None and 0 < self._due_at - now <= NEAR_SECONDS

    def is_due(self, now: float, others_run: bool) -> bool:
        """Other commands may finish first, for five minutes (a package transaction however long: see the loop)."""
        if self._due_at is None or now < self._due_at:
            return False
        return not others_run or now >= self._due_at + MAX_WAIT_FOR_OTHERS_SECONDS

    def attempt(self, now: float) -> None:
        """Run the command. It may come back, with the reboot yet to come."""
        import subprocess

        self._attempts += 1
        self._due_at = now + RETRY_SECONDS
        log.say("rebooting by: %s" % " ".join(self._argv))
        try:
            status = subprocess.call(self._argv, stdin=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT_SECONDS)
        except (OSError, subprocess.TimeoutExpired, IndexError) as error:
            log.say("the reboot command failed: %s" % error)
        else:
            if status:
                log.say("the reboot command failed with exit code %d" % status)
