"""Time and chance: the only callers of now() and of the system's randomness."""

import base64
import secrets
import uuid
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemIds:
    """Identifiers and secrets by the system's randomness. Implements flows.ports.Ids."""

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def baseline(self) -> str:
        return f"pb-{secrets.token_hex(9)[:17]}"

    def window(self) -> str:
        return f"mw-{secrets.token_hex(9)[:17]}"

    def node(self) -> str:
        return f"mi-{secrets.token_hex(9)[:17]}"

    def activation_code(self) -> str:
        """24 characters of base32: 120 bits, easy to read out."""
        return base64.b32encode(secrets.token_bytes(15)).decode()

    def random(self, count: int) -> bytes:
        return secrets.token_bytes(count)
