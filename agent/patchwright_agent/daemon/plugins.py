"""What runs a step: the plugin that its action names. Sources: spec/operations.md 2.3; spec/agent-protocol.md 10.

Plugins but for the shell are loaded when a step asks for them: a resting agent doesn't hold them.
"""

import os
import sys

from patchwright_agent.daemon import documents, environment, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from patchwright_agent.daemon.command_run import Context
    from patchwright_agent.daemon.documents import Step

DOWNLOADS = "downloads"


class Place:
    """For which command, in which folder and how deep in nested documents a step runs."""

    __slots__ = ("command_dir", "command_id", "context", "control", "depth")

    def __init__(
        self, context: "Context", command_id: str, command_dir: str, control: steps.Control, depth: int = 0
    ) -> None:
        self.context = context
        self.command_id = command_id
        self.command_dir = command_dir
        self.control = control
        self.depth = depth

    def deeper(self) -> "Place":
        return Place(self.context, self.command_id, self.command_dir, self.control, self.depth + 1)

    @property
    def downloads(self) -> str:
        """Where downloads go that have no absolute destination; later steps run there."""
        return os.path.join(self.command_dir, DOWNLOADS)

    def variables(self, step: "Step") -> "Dict[str, str]":
        context = self.context
        found = environment.step_environment(
            context.node, context.identity, context.state_dir, self.command_id, self.command_dir
        )
        found.update(environment.of_inputs(step.inputs.get("environment")))
        return found


def run(step: "Step", place: Place, folder: steps.StepFolder) -> steps.Outcome:
    """Run a step to its end. Raises Abandoned; ValueError, OSError, StorageError when it can't be started."""
    if place.context.scan_only:
        argv = [sys.executable, environment.agent_path(), "patch", "--scan-only"]
        return steps.run_program(argv, folder, place.variables(step), _timeout(step), place.control)
    if step.action == documents.RUN_DOCUMENT:
        from patchwright_agent.daemon import nested

        return nested.run_document(step, place, folder)
    if step.action == documents.DOWNLOAD_CONTENT:
        from patchwright_agent.daemon import downloads

        return downloads.download_content(step, place, folder)
    if step.action == documents.SOFTWARE_INVENTORY:
        from patchwright_agent.daemon import inventory_step

        return inventory_step.gather(step, place, folder)
    if step.action in documents.UPDATE_AGENT:
        return _update_agent(step, place)
    if step.action == documents.RUN_POWER_SHELL_SCRIPT:
        return _run_power_shell(step, place, folder)
    if step.action != documents.RUN_SHELL_SCRIPT:
        raise ValueError("this agent doesn't run %s" % step.action)
    lines = script_lines(step.inputs.get("runCommand"))
    return steps.run_script(
        lines, folder, place.variables(step), _directory(step, place), _timeout(step), place.control
    )


def _update_agent(step: "Step", place: Place) -> steps.Outcome:
    """Replace this agent: the daemon ends within this step, which its successor takes up."""
    from patchwright_agent.daemon import agent_update
    from patchwright_agent.daemon.credentials import NoCredentials
    from patchwright_agent.transport import ServerError, Unreachable

    if place.depth:
        raise ValueError("a nested document can't update the agent: its step would not be taken up")
    if place.context.others_run():
        raise ValueError("other commands run: the agent is not restarted under them. Send this again")
    try:
        outcome = agent_update.stage(step, place)
    except (ServerError, Unreachable, NoCredentials) as error:
        raise ValueError("the server's agent could not be fetched: %s" % error)
    if outcome is not None:
        return outcome
    place.context.restart()
    while not place.control.is_shutting_down:
        place.control.wait(1.0)
    raise steps.Abandoned()


def _timeout(step: "Step") -> int:
    return steps.timeout_seconds(step.setting("timeoutSeconds"))


def _directory(step: "Step", place: Place) -> str:
    wanted = step.inputs.get("workingDirectory")
    if isinstance(wanted, str) and wanted.startswith("/"):
        return wanted
    return place.downloads if os.path.isdir(place.downloads) else os.getcwd()


def _run_power_shell(step: "Step", place: Place, folder: steps.StepFolder) -> steps.Outcome:
    """The lines as one script of pwsh, which ends with the code of its own `exit`."""
    variables = place.variables(step)
    program = _program("pwsh", variables.get("PATH", os.defpath))
    if program is None:
        raise ValueError("pwsh (PowerShell) is not installed on this host")
    path = os.path.join(place.command_dir, "step-%s.ps1" % folder.label)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(script_lines(step.inputs.get("runCommand"))) + "\n")
    argv = [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", path]
    return steps.run_program(argv, folder, variables, _timeout(step), place.control, _directory(step, place))


def _program(name: str, path: str) -> "Optional[str]":
    for folder in path.split(os.pathsep):
        found = os.path.join(folder, name)
        if os.path.isabs(found) and os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    return None


def script_lines(value: "Any") -> "List[str]":
    lines = [value] if isinstance(value, str) else value
    if (
        not isinstance(lines, list)
        or not lines
        or not all(isinstance(line, str) and "\0" not in line for line in lines)
    ):
        raise ValueError("runCommand is not a list of texts")
    return list(lines)


def object_of(value: "Any", name: str) -> "Dict[str, Any]":
    """An input that is an object, or one as JSON text. Raises ValueError."""
    if value in (None, ""):
        return {}
    if isinstance(value, str):
        import json

        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("%s is not JSON" % name)
    if not isinstance(value, dict):
        raise ValueError("%s is not an object" % name)
    return dict(value)
