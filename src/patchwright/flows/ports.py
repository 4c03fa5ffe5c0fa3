"""What flows need from outside and get passed in: new ids. Time is passed as a plain `now`."""

from typing import Protocol


class Ids(Protocol):
    """Makes identifiers and secrets; `server/clock.py` by chance, tests by counting."""

    def uuid(self) -> str:
        """A lower-case UUID: command, activation, run, request."""

    def baseline(self) -> str:
        """`pb-` plus 17 hex digits."""

    def window(self) -> str:
        """`mw-` plus 17 hex digits."""

    def node(self) -> str:
        """`mi-` plus 17 hex digits."""

    def activation_code(self) -> str:
        """A secret of at least 20 characters (the agent's own check refuses shorter ones)."""

    def random(self, count: int) -> bytes:
        """`count` bytes for keys and nonces."""


class Sealer(Protocol):
    """Encrypts small secrets at rest; `server/secrets.py` by the master key."""

    def seal(self, secret: str, *, bound_to: str) -> bytes:
        """Encrypt `secret` so that it opens only under the same `bound_to`."""

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """The secret that was sealed."""
