"""The agent's commands: register, run, patch, facts, report, version."""

import sys

if not __package__:  # started as `python .../patchwright_agent`: make the package importable by its name
    import os

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

WORKER_COMMANDS = ("patch", "facts", "report")
DAEMON_COMMAND = "run"
# The agent's own, not an operator's: in no help.
FETCH_COMMAND, INVENTORY_COMMAND, WATCH_COMMAND = "fetch", "inventory", "watch-update"


def main(argv: "Optional[List[str]]" = None) -> int:
    """The exit code of a command: 0 done, 1 failed (with a reason on standard error), 64 wrong usage."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] and argv[0] in WORKER_COMMANDS:
        from patchwright_agent.worker.main import main as worker_main

        return worker_main(argv)
    if argv[:1] == [FETCH_COMMAND]:
        from patchwright_agent.fetch import main as fetch_main

        return fetch_main(argv[1:])
    if argv[:1] == [INVENTORY_COMMAND]:
        from patchwright_agent.inventory import main as inventory_main

        return inventory_main(argv[1:])
    if argv[:1] == [WATCH_COMMAND]:
        from patchwright_agent.daemon.update_watch import main as watch_main

        return watch_main(argv[1:])
    if argv[:1] == [DAEMON_COMMAND]:
        from patchwright_agent.daemon import main as daemon_main

        if daemon_main.is_lean():
            return daemon_main.run(daemon_main.settled(argv[1:]))
    from patchwright_agent import commands  # not above: a worker compiles what it imports at each start

    return commands.main(argv)


if __name__ == "__main__":
    sys.exit(main())
