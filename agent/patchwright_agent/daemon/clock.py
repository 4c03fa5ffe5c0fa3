"""Time as the server sees it: a host whose clock is off could not sign otherwise."""

import time

from patchwright_agent.daemon import log

TOLERATED_SECONDS = 30.0  # signatures are refused at 300; answers and transport take a second or two


class Clock:
    """The host's clock, and the server's by the offset that its answers show."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Epoch seconds of this host's clock."""
        return time.time()

    def server_now(self) -> float:
        """Epoch seconds of the server's clock, as far as known."""
        return self.by_server(self.now())

    def by_server(self, moment: float) -> float:
        """A moment of this host's clock by the server's, as far as known: what the server is told counts as its own."""
        return moment + self.offset

    def observe(self, offset: float) -> bool:
        """Learn from an answer's Date; whether that changed anything."""
        if abs(offset) <= TOLERATED_SECONDS:
            offset = 0.0
        if abs(offset - self.offset) <= TOLERATED_SECONDS:
            return False
        self.offset = offset
        if offset:
            direction = "behind" if offset > 0 else "ahead of"
            log.say(
                "this host's clock is %d s %s the server's; requests are signed with the server's time. "
                "Set the clock right (for example with chrony)" % (round(abs(offset)), direction)
            )
        else:
            log.say("this host's clock agrees with the server's again")
        return True


def iso_time(now: float) -> str:
    """Epoch seconds as in "2030-01-02T03:04:05.678Z"."""
    milliseconds = round(now * 1000)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)), milliseconds % 1000)
