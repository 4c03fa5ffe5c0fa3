"""`make docs`: bring every generated part of the documentation up to date (`--check`: only say what is stale)."""

import sys

from tools import generated, operations_table, performance_table, reason_codes, settings_reference


def parts() -> dict[tuple[str, str], str]:
    """(file, name of the part) -> Markdown, of all tools."""
    return {
        **operations_table.parts(),
        **settings_reference.parts(),
        **reason_codes.parts(),
        **performance_table.parts(),
    }


if __name__ == "__main__":
    sys.exit(generated.run(parts()))
