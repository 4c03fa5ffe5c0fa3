"""Ids that count, so that every run of a test makes the same ones."""


class CountingIds:
    """Implements `flows.ports.Ids`."""

    def __init__(self) -> None:
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{self._next():012x}"

    def baseline(self) -> str:
        return f"pb-{self._next():017x}"

    def window(self) -> str:
        return f"mw-{self._next():017x}"

    def node(self) -> str:
        return f"mi-{self._next():017x}"

    def activation_code(self) -> str:
        return f"code-of-twenty-chars-{self._next():04d}"

    def random(self, count: int) -> bytes:
        return self._next().to_bytes(count, "big")
