"""operation -> handler. The server refuses to start if the model and the handlers disagree."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.store.engine import Tx

Handler = Callable[[Context, Request], Answer]
Prepare = Callable[[Context, Request], Any]
Parts = Callable[[Context, Any], Iterable[Callable[[Tx], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A handler, whether it only reads, and whether a policy is asked again for each resource by the handler."""

    operation: str
    service: str
    handler: Handler
    reads: bool
    short: bool
    """It reads a few rows by their keys, whatever is asked."""
    prepare: Prepare | None = None
    """Runs first on a snapshot, without any lock, with every check that the handler makes; `ctx.prepared` has it."""
    parts: Parts | None = None
    """What is written ahead, of what was prepared: each part a transaction of its own, of bulk that nothing refers to
    before the handler's."""


class Registry:
    """Filled by the modules of this folder through `serves`, checked once at start."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def serves(
        self,
        operation: str,
        *,
        reads: bool = False,
        short: bool = False,
        service: str = "ssm",
        prepare: Prepare | None = None,
        parts: Parts | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function for `operation`; twice is a mistake found at import."""

        def register(handler: Handler) -> Handler:
            key = f"{service}:{operation}"
            if key in self.entries:
                raise ValueError(f"{key} has two handlers")
            self.entries[key] = Entry(
                operation=operation,
                service=service,
                handler=handler,
                reads=reads,
                short=short,
                prepare=prepare,
                parts=parts,
            )
            return handler

        return register

    def check(self, modelled: "Callable[[str, str], Any]") -> None:
        """Raise ValueError unless `modelled(service, operation)` knows every handler's operation."""
        for entry in self.entries.values():
            if not modelled(entry.service, entry.operation):
                raise ValueError(f"{entry.service}:{entry.operation} has a handler but is in no model")


registry = Registry()
