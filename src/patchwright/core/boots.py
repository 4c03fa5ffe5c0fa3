"""A run that asked for a reboot, when its worker says hello again: has the host booted, or is it asked once more?"""

from dataclasses import dataclass
from datetime import timedelta

from patchwright.core.exit_codes import ExitCode

MAX_REPEATS = 4
"""How often 194 is answered again before the run ends with 3. Source: patch-baselines.md 6.3."""
ONE_REQUEST = timedelta(seconds=90)
"""A hello that follows sooner, in the same boot, asks for no other reboot: the answer to the last one was lost, or its
worker was. No host had the time to fail at booting: `shutdown -r +1` alone waits for a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterBoot:
    """`kept`: the code to keep; `shown`: the one that the step ends with; `asked`: repeats, this one included."""

    kept: ExitCode
    shown: ExitCode
    asked: int


def after_boot(code: ExitCode, *, asked_in: str, now_in: str, asked: int, since: timedelta) -> AfterBoot:
    """What a run that ended with `code` answers in the boot `now_in`.

    A code that asks for a reboot becomes its final one in another boot than the one in which it was asked; in the same
    one it is asked again, and after `MAX_REPEATS` times the reboot has never happened. Any other code is final.
    `since` is how long ago it was asked last; within ONE_REQUEST it is the same request.
    Source: patch-baselines.md 5.6, 6.3; decisions.md 6: a reboot is known by the boot id, never by uptime.
    """
    if not code.asks_for_reboot:
        return AfterBoot(kept=code, shown=code, asked=asked)
    if now_in != asked_in:
        return AfterBoot(kept=code.after_reboot, shown=code.after_reboot, asked=asked)
    if since < ONE_REQUEST:
        return AfterBoot(kept=code, shown=code.before_reboot, asked=asked)
    if asked >= MAX_REPEATS:
        never = ExitCode.REBOOT_NEVER_HAPPENED
        return AfterBoot(kept=never, shown=never, asked=asked)
    return AfterBoot(kept=code, shown=code.before_reboot, asked=asked + 1)
