"""aws:softwareInventory: a child gathers, the daemon sends. Source: spec/operations.md 2.3, 7.1.

What the server took by its hash is not sent again: the hash alone is. A server that no longer holds it says so, and
gets all. Source: spec/agent-protocol.md 11.
"""

import json
import os
import sys

from patchwright_agent.daemon import environment, outcomes, steps, storage
from patchwright_agent.daemon.credentials import NoCredentials
from patchwright_agent.transport import ServerError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List

    from patchwright_agent.daemon.documents import Step
    from patchwright_agent.daemon.node import Node
    from patchwright_agent.daemon.plugins import Place

CUSTOM_FOLDER = os.path.join("inventory", "custom")
TAKEN_FILE = "inventory-taken.json"
MAX_ITEMS_BYTES = 64 * 1024 * 1024
MAX_CALL_ITEMS, MAX_CALL_BYTES = 30, 4 * 1024 * 1024
_NOT_HELD = ("ItemContentMismatchException", "InvalidItemContentException")


def gather(step: "Step", place: "Place", folder: steps.StepFolder) -> steps.Outcome:
    """Gather what the step asks for and report it. Raises Abandoned, ValueError, OSError, StorageError."""
    order, output = (
        os.path.join(place.command_dir, "inventory-%s.%s" % (folder.label, kind)) for kind in ("json", "items")
    )
    state_dir = place.context.state_dir
    storage.write_json(
        order, {"inputs": step.inputs, "custom": os.path.join(state_dir, CUSTOM_FOLDER), "output": output}
    )
    argv = [sys.executable, environment.agent_path(), "inventory", order]
    timeout = steps.timeout_seconds(step.setting("timeoutSeconds"))
    outcome = steps.run_program(argv, folder, place.variables(step), timeout, place.control)
    if outcome.status != outcomes.SUCCESS:
        return outcome
    with open(output, "rb") as file:
        items = json.loads(file.read(MAX_ITEMS_BYTES).decode("utf-8"))
    os.unlink(output)
    try:
        _send(place.context.node, items, os.path.join(state_dir, TAKEN_FILE))
    except (ServerError, Unreachable, NoCredentials) as error:
        said = ("The server did not take the inventory: %s\n" % error).encode("utf-8", "replace")
        return steps.Outcome(outcomes.FAILED, 1, outcome.stdout, outcome.stderr + said)
    return outcome


def _send(node: "Node", items: "List[Dict[str, Any]]", taken_file: str) -> None:
    """Put the items, and remember by which hashes the server has them. Raises what calls raise, and StorageError."""
    taken = _taken(taken_file)
    for call in _calls(items):
        short = [
            _without_content(item) if taken.get(item["TypeName"]) == item["ContentHash"] else item for item in call
        ]
        try:
            node.put_inventory(short)
        except ServerError as error:
            if short == call or error.code not in _NOT_HELD:
                raise
            node.put_inventory(call)
        taken.update((item["TypeName"], item["ContentHash"]) for item in call)
    storage.write_json(taken_file, taken)


def _calls(items: "List[Dict[str, Any]]") -> "Iterator[List[Dict[str, Any]]]":
    """The items in calls that the server takes."""
    call: "List[Dict[str, Any]]" = []
    size = 0
    for item in items:
        mine = len(json.dumps(item))
        if call and (len(call) >= MAX_CALL_ITEMS or size + mine > MAX_CALL_BYTES):
            yield call
            call, size = [], 0
        call.append(item)
        size += mine
    if call:
        yield call


def _without_content(item: "Dict[str, Any]") -> "Dict[str, Any]":
    return {name: value for name, value in item.items() if name != "Content"}


def _taken(path: str) -> "Dict[str, str]":
    """What the server has by which hash, as far as is known: a file that can't be read means nothing."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(storage.MAX_STATE_FILE_BYTES).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
