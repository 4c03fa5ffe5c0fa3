"""How long to wait before the next attempt, spread at random so that a fleet doesn't call in step."""

import os


def fraction() -> float:
    """A random number from 0 up to 1 (without the `random` module, for its memory)."""
    return int.from_bytes(os.urandom(4), "big") / 2.0**32


def uuid4() -> str:
    """A random UUID (RFC 9562, version 4) as text (without the `uuid` module, for its memory)."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    digits = bytes(raw).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Backoff:
    """Exponential with full jitter: the n-th pause is `base` to `base` * (1 + 2**n) seconds, at most `cap`."""

    def __init__(self, base: float, cap: float) -> None:
        self._base = base
        self._cap = cap
        self._failures = 0

    def failed(self) -> float:
        """Count a failure; the seconds to wait now."""
        self._failures = min(self._failures + 1, 20)
        return min(self._base + fraction() * self._base * 2.0**self._failures, self._cap)

    def succeeded(self) -> None:
        self._failures = 0
