"""aws:softwareInventory: a child gathers, the daemon sends. Source: spec/operations.md 2.3, 7.1."""

import json
import os
import sys

from patchwright_agent.daemon import environment, outcomes, steps, storage
from patchwright_agent.daemon.credentials import NoCredentials
from patchwright_agent.transport import ServerError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from patchwright_agent.daemon.documents import Step
    from patchwright_agent.daemon.plugins import Place

CUSTOM_FOLDER = os.path.join("inventory", "custom")
MAX_ITEMS_BYTES = 32 * 1024 * 1024


def gather(step: "Step", place: "Place", folder: steps.StepFolder) -> steps.Outcome:
    """Gather what the step asks for and report it. Raises Abandoned, ValueError, OSError, StorageError."""
    order, output = (
        os.path.join(place.command_dir, "inventory-%s.%s" % (folder.label, kind)) for kind in ("json", "items")
    )
    custom = os.path.join(place.context.state_dir, CUSTOM_FOLDER)
    node = place.context.identity.instance_id
    storage.write_json(order, {"inputs": step.inputs, "custom": custom, "instance_id": node, "output": output})
    argv = [sys.executable, environment.agent_path(), "inventory", order]
    timeout = steps.timeout_seconds(step.setting("timeoutSeconds"))
    outcome = steps.run_program(argv, folder, place.variables(step), timeout, place.control)
    if outcome.status != outcomes.SUCCESS:
        return outcome
    with open(output, "rb") as file:
        items = json.loads(file.read(MAX_ITEMS_BYTES).decode("utf-8"))
    try:
        place.context.node.put_inventory(items)
    except (ServerError, Unreachable, NoCredentials) as error:
        said = ("The server did not take the inventory: %s\n" % error).encode("utf-8", "replace")
        return steps.Outcome(outcomes.FAILED, 1, outcome.stdout, outcome.stderr + said)
    return outcome
