"""Open commands: start, time out, roll up."""

from datetime import datetime

from patchwright.flows.advance_command import advance_command
from patchwright.store import commands
from patchwright.store.engine import Engine, Tx


class CommandsLoop:
    """Brings every open command forward."""

    def __init__(self, store: Engine) -> None:
        self._store = store

    def turn(self, now: datetime) -> datetime | None:
        """Advance each in a transaction of its own. Returns when the clock next matters to one of them."""
        looks = []
        for command_id in self._store.read(commands.open_ids):

            def advance(tx: Tx, command_id: str = command_id) -> datetime | None:
                return advance_command(tx, command_id, now)

            again = self._store.write(advance)
            if again is not None:
                looks.append(again)
        return min(looks, default=None)
