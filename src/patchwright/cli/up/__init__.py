"""`patchwright up`: a server and this very machine as its scan-only node, for a first look. Nothing is installed."""

import argparse
import os
from pathlib import Path
from typing import Any

from patchwright.cli.options import add_command


def add_up(commands: Any) -> None:
    """Define `up`. Source: product.md, the contract, `make run`."""
    parser = add_command(
        commands, "up", "run a server and scan this very machine; nothing is ever installed on it", _run
    )
    parser.add_argument("--once", action="store_true", help="scan, print, end all of it")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("PATCHWRIGHT_DATA_DIR") or "./var"))
    parser.add_argument("--agent-file", type=Path, help="the agent's zipapp; default: the checkout's, built if need be")
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this one ends, even killed"
    )


def _run(args: argparse.Namespace) -> int:
    from patchwright.cli.up.main import run_up  # no other command needs it

    return run_up(args)
