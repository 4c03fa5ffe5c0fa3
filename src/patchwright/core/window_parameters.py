"""Pseudo parameters: `{{WINDOW_ID}}` and the like in what a task is given. Source: operations.md 4.5."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Pseudo(StrEnum):
    """What can be written between the braces."""

    WINDOW_ID = "WINDOW_ID"
    WINDOW_TASK_ID = "WINDOW_TASK_ID"
    WINDOW_TARGET_ID = "WINDOW_TARGET_ID"
    WINDOW_EXECUTION_ID = "WINDOW_EXECUTION_ID"
    TASK_EXECUTION_ID = "TASK_EXECUTION_ID"
    INVOCATION_ID = "INVOCATION_ID"
    TARGET_TYPE = "TARGET_TYPE"
    TARGET_ID = "TARGET_ID"
    RESOURCE_ID = "RESOURCE_ID"


NOT_FOR_COMMANDS = frozenset({Pseudo.TARGET_ID, Pseudo.RESOURCE_ID})
"""A command goes to many nodes at once, so neither has one value."""
EXAMPLES: Mapping[Pseudo, str] = {
    **dict.fromkeys(set(Pseudo) - NOT_FOR_COMMANDS, "00000000-0000-4000-8000-000000000000"),
    Pseudo.WINDOW_ID: "mw-00000000000000000",
    Pseudo.TARGET_TYPE: "INSTANCE",
}
"""Values of the right form, to check a task's parameters before it runs."""
_WRITTEN = re.compile(r"\{\{\s*(" + "|".join(Pseudo) + r")\s*\}\}")


def filled(value: Any, known: Mapping[Pseudo, str]) -> Any:
    """`value` (of plain JSON) with each pseudo parameter of `known` replaced in its texts; other braces stay."""
    if isinstance(value, str):
        return _WRITTEN.sub(lambda found: known.get(Pseudo(found[1]), found[0]), value)
    if isinstance(value, list):
        return [filled(element, known) for element in value]
    if isinstance(value, dict):
        return {name: filled(element, known) for name, element in value.items()}
    return value


def not_for_commands(value: Any) -> list[Pseudo]:
    """The pseudo parameters in `value` that a command can't have."""
    if isinstance(value, str):
        return [Pseudo(found[1]) for found in _WRITTEN.finditer(value) if Pseudo(found[1]) in NOT_FOR_COMMANDS]
    if isinstance(value, list | dict):
        elements = value.values() if isinstance(value, dict) else value
        return [name for element in elements for name in not_for_commands(element)]
    return []
