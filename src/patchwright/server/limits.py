"""A limit on calls that nobody signs: registrations, by address. Source: decisions.md 21."""

from patchwright.wire.errors import WireError

MAX_ADDRESSES = 10_000


class Throttled(WireError):
    """Too many unsigned calls from one address."""

    def __init__(self) -> None:
        super().__init__("ThrottlingException", "Rate exceeded")


class RateLimit:
    """A token bucket for each address."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, address: str, monotonic: float) -> None:
        """Take one token at `monotonic` (seconds). Raises Throttled when there is none."""
        tokens, before = self._buckets.get(address, (float(self._burst), monotonic))
        tokens = min(float(self._burst), tokens + (monotonic - before) * self._per_second)
        if tokens < 1.0:
            raise Throttled
        if len(self._buckets) >= MAX_ADDRESSES and address not in self._buckets:
            # The oldest goes: a flood of addresses may refill its own buckets, never exhaust memory.
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = (tokens - 1.0, monotonic)
