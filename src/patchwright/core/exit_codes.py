"""Exit codes of a patch run, as scripts know them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Source: spec/patch-baselines.md 5.6. The two NEEDED_WITH codes are internal: the host sees REBOOT for them."""

    SUCCESS = 0
    FAILURE = 1
    DEPENDENCY_FAILURE = 2
    REBOOT_NEVER_HAPPENED = 3
    REBOOT = 194
    REBOOT_WITH_FAILURES = 195
    REBOOT_WITH_DEPENDENCY_FAILURES = 196
    UNSUPPORTED_OPERATING_SYSTEM = 146
    OVERRIDE_DENIED = 160
    OVERRIDE_INVALID = 161
    OVERRIDE_NOT_FETCHED = 162
    OVERRIDE_SYSTEM_MISSING = 163
    OVERRIDE_SYSTEM_REPEATED = 165
    OVERRIDE_SYSTEM_UNSUPPORTED = 166
    BOTH_OVERRIDES = 167

    @property
    def asks_for_reboot(self) -> bool:
        """Whether the host must reboot before the run is over."""
        return self in _AFTER_REBOOT

    @property
    def before_reboot(self) -> "ExitCode":
        """What the step ends with now: each of the three reboot codes shows as REBOOT."""
        return ExitCode.REBOOT if self in _AFTER_REBOOT else self

    @property
    def after_reboot(self) -> "ExitCode":
        """What the step ends with once the host is back."""
        return _AFTER_REBOOT.get(self, self)


def known_code(code: int) -> ExitCode | None:
    """The code as one of ours; None for anything else that a worker may end with, such as a signal's."""
    return next((known for known in ExitCode if known == code), None)


def shown_code(code: int) -> int:
    """A kept code as others see it: the two internal ones are 194 until the host is back."""
    known = known_code(code)
    return code if known is None else int(known.before_reboot)


_AFTER_REBOOT = {
    ExitCode.REBOOT: ExitCode.SUCCESS,
    ExitCode.REBOOT_WITH_FAILURES: ExitCode.FAILURE,
    ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES: ExitCode.DEPENDENCY_FAILURE,
}
