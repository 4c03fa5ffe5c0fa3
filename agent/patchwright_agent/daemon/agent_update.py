"""aws:updateSsmAgent: this agent replaced by the server's, and brought back if the new one does not come up.

The old daemon stages: it verifies the new file, tries whether it starts, keeps the old file beside it, starts a watch
of the old code in a process of its own, and then replaces itself by an exec. The new daemon confirms once the server
has answered it. If it does not in time, the watch puts the old file back and starts that. The step, whose result
nobody had yet, ends by what the record says. Source: spec/operations.md 2.3, 10.

Once the file is replaced nothing more may be imported from it: the exec follows at once.
"""

import hashlib
import os
import sys
import time

from patchwright_agent import __version__
from patchwright_agent.daemon import environment, log, outcomes, steps, storage
from patchwright_agent.daemon.main import UPDATE_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from patchwright_agent.daemon.documents import Step
    from patchwright_agent.daemon.plugins import Place

STAGED, CONFIRMED, ROLLED_BACK = "staged", "confirmed", "rolled back"
COME_UP_SECONDS = 120.0
GIVE_UP_SECONDS = 60.0  # beyond COME_UP_SECONDS, for the old agent to be back
MAX_STARTS = 5  # of a new agent that never confirms, should its watch be gone (a power cut)
TRIAL_SECONDS = 30.0
_CHECK_SECONDS = 0.5


def stage(step: "Step", place: "Place") -> "Optional[steps.Outcome]":
    """Make ready for the restart; None if that is to come now, else how the step has ended.

    Raises ValueError, OSError, StorageError: nothing was replaced then.
    """
    from patchwright_agent.daemon import artefact

    program = environment.agent_path()
    if not os.path.isfile(program):
        raise ValueError("this agent runs from a folder, not from one file: it can't replace itself")
    get = place.context.node.fetch_file
    try:
        offered = artefact.offered(get, place.context.state_dir)
        old = _sha256(program)
        refusal = _refusal(offered.version, step.inputs)
        if refusal:
            raise ValueError(refusal)
        if offered.sha256 == old:
            said = "Agent %s is what the server has: nothing to update.\n" % __version__
            return steps.Outcome(outcomes.SUCCESS, 0, said.encode("ascii", "replace"), b"")
        content = artefact.content(get, offered)
    except artefact.Unusable as error:
        raise ValueError(str(error))
    fresh = program + ".new"
    _write(fresh, content)
    told = _trial(fresh)
    if told != offered.version:
        os.unlink(fresh)
        raise ValueError("the new agent does not start on this host (it said %r): nothing was changed" % told[:200])
    with open(program, "rb") as file:
        _write(program + ".previous", file.read())
    record = {
        "command": place.command_id,
        "state": STAGED,
        "reason": "",
        "program": program,
        "from": __version__,
        "to": offered.version,
        "sha256": offered.sha256,
        "staged_at": time.time(),
        "starts": 0,
        "arguments": place.context.run_arguments,
    }
    storage.write_json(_path(place.context.state_dir), record)
    _start_watch(place.context.state_dir, program)
    return None


def _refusal(version: str, inputs: "Dict[str, Any]") -> str:
    wanted = inputs.get("targetVersion")
    if wanted not in (None, "", "latest", version):
        return "the server has agent %s, not %s" % (version, str(wanted)[:40])
    if _numbers(version) < _numbers(__version__) and str(inputs.get("allowDowngrade")).lower() != "true":
        return "the server's agent %s is older than this one, %s, and allowDowngrade is not true" % (
            version,
            __version__,
        )
    return ""


def _numbers(version: str) -> "List[int]":
    return [int(part) for part in version.split(".") if part.isdigit()]


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _write(path: str, content: bytes) -> None:
    """Replace the file, durably; runnable, and changed by its owner alone."""
    storage.write_atomically(path, content)
    os.chmod(path, 0o755)  # noqa: S103 (a program that every user may run, as it was installed)


def _trial(program: str) -> str:
    """What `version` of a new agent says: whether this host's Python runs it at all."""
    import subprocess

    argv = [sys.executable, "-I", "-S", program, "version"]
    try:
        with steps.starting:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = child.communicate(timeout=TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return "nothing in time"
    return said.decode("utf-8", "replace").strip()[:400]


def _start_watch(state_dir: str, program: str) -> None:
    """The old code in a process that outlives this one, in a session of its own."""
    import subprocess

    argv = [sys.executable, "-I", "-S", program + ".previous", "watch-update", state_dir]
    with steps.starting:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)


def replace_program(state_dir: str) -> None:
    """Put the new file in the old one's place: the last thing that an old daemon does before its exec."""
    record = read(state_dir)
    if record is None or record["state"] != STAGED:
        return
    program = str(record["program"])
    try:
        os.rename(program + ".new", program)
    except OSError as error:
        settle(state_dir, record, ROLLED_BACK, "the new file could not take the old one's place: %s" % error.strerror)


def on_start(state_dir: str) -> bool:
    """Count a start while an update is not confirmed; True if the old program was put back and is to be run."""
    record = read(state_dir)
    if record is None or record["state"] != STAGED:
        return False
    record["starts"] = int(record.get("starts", 0)) + 1
    if record["starts"] > MAX_STARTS:
        put_back(state_dir, record, "it was started %d times and never answered by the server" % MAX_STARTS)
        return True
    storage.write_json(_path(state_dir), record)
    return False


def confirm(state_dir: str) -> None:
    """The server has answered: the new agent is up."""
    record = read(state_dir)
    if record is None or record["state"] != STAGED:
        return
    if _sha256(str(record["program"])) != record["sha256"]:
        settle(state_dir, record, ROLLED_BACK, "the program is another one than was staged")
        return
    settle(state_dir, record, CONFIRMED, "")
    log.say("updated from version %s to %s" % (record["from"], record["to"]))


def put_back(state_dir: str, record: "Dict[str, Any]", reason: str) -> None:
    """The old file in its place again."""
    program = str(record["program"])
    with open(program + ".previous", "rb") as file:
        _write(program, file.read())
    settle(state_dir, record, ROLLED_BACK, reason)


def settle(state_dir: str, record: "Dict[str, Any]", state: str, reason: str) -> None:
    storage.write_json(_path(state_dir), dict(record, state=state, reason=reason))


def read(state_dir: str) -> "Optional[Dict[str, Any]]":
    """The record of the latest update, if there ever was one. Raises StorageError."""
    record = storage.read_json(_path(state_dir))
    return record if record is not None and {"state", "program", "sha256", "command"} <= set(record) else None


def outcome_of(place: "Place") -> "Optional[steps.Outcome]":
    """How the update that this command began has ended; None if it began none. Waits while that is open.

    Raises Abandoned, StorageError.
    """
    while True:
        record = read(place.context.state_dir)
        if record is None or record["command"] != place.command_id:
            return None
        if record["state"] != STAGED:
            return _outcome(record)
        if time.time() - float(record["staged_at"]) > COME_UP_SECONDS + GIVE_UP_SECONDS:
            return _outcome(dict(record, state=ROLLED_BACK, reason="nobody confirmed the new agent in time"))
        place.control.wait(_CHECK_SECONDS)
        if place.control.is_shutting_down:
            raise steps.Abandoned()


def _outcome(record: "Dict[str, Any]") -> steps.Outcome:
    if record["state"] == CONFIRMED:
        said = "Agent updated from %s to %s.\n" % (record["from"], record["to"])
        return steps.Outcome(outcomes.SUCCESS, 0, said.encode("utf-8", "replace"), b"")
    said = "The new agent %s did not come up (%s). The old one, %s, runs.\n" % (
        record["to"],
        record["reason"],
        record["from"],
    )
    return steps.Outcome(outcomes.FAILED, 1, b"", said.encode("utf-8", "replace"))


def _path(state_dir: str) -> str:
    return os.path.join(state_dir, UPDATE_RECORD)
