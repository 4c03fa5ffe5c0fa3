"""One command from its order to its final reply, whatever was interrupted before: each turn is journalled first.

A step that is done is not run again. A step that was running when the agent was stopped is not run again either: what
it did is not known. Two exceptions: after exit 194 and a boot the same step runs again from its start, and the steps of
the patch documents run again (their worker killed, too), since the worker's own journal makes that safe.
"""

import os

from patchwright_agent import platform
from patchwright_agent.daemon import backoff, documents, log, messages, outcomes, plugins, replies, steps, storage
from patchwright_agent.daemon.command_state import DONE, FINAL, REBOOTING, STARTED
from patchwright_agent.daemon.documents import Order, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional

    from patchwright_agent.daemon.clock import Clock
    from patchwright_agent.daemon.command_state import CommandState
    from patchwright_agent.daemon.identity import Identity
    from patchwright_agent.daemon.journal import Journal
    from patchwright_agent.daemon.node import Node
    from patchwright_agent.daemon.outbox import Outbox

MAX_PATCH_RUNS = 5  # of one step over crashes of the agent or its worker, so that a step that crashes one has an end
SCAN_ONLY_REFUSAL = (
    "This node is enrolled scan-only (run --scan-only): it obeys Scan and nothing else. Nothing was run."
)
NOT_RUN_AGAIN = "The agent was stopped while this step ran; what it did is not known. It was not run again."
NO_REBOOT = "The step asked for a reboot (exit code 194), which did not happen. It was not run again."
NO_REBOOT_SCAN_ONLY = "The worker asked for a reboot (exit code 194); a scan-only node does not reboot."


class Refused(Exception):
    """An order that isn't run at all; `step_name` is "" unless the reason is to be shown with a step as well."""

    def __init__(self, reason: str, step_name: str = "") -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.step_name = step_name


class Context:
    """What all commands of a daemon share."""

    def __init__(
        self,
        identity: "Identity",
        node: "Node",
        journal: "Journal",
        outbox: "Outbox",
        clock: "Clock",
        state_dir: str,
        scan_only: bool,
    ) -> None:
        self.identity = identity
        self.node = node
        self.journal = journal
        self.outbox = outbox
        self.clock = clock
        self.state_dir = state_dir
        self.scan_only = scan_only
        self.run_arguments: "List[str]" = []  # with which the daemon was started, for the one that follows it
        self.others_run: "Callable[[], bool]" = lambda: False
        self.restart: "Callable[[], None]" = lambda: None

    def command_dir(self, command_id: str) -> str:
        return os.path.join(self.state_dir, "commands", command_id)


def read_order(payload: str, scan_only: bool) -> Order:
    """The order in a message; on a scan-only node always this program's own scan. Raises Refused."""
    if not scan_only:
        try:
            return documents.parse_order(payload)
        except documents.DocumentError as error:
            raise Refused(str(error))
    try:
        step_name, token = messages.scan_order(payload)
    except messages.Unusable:
        raise Refused(SCAN_ONLY_REFUSAL, messages.shell_step_name(payload))
    step = Step(step_name, documents.RUN_SHELL_SCRIPT, {"environment": {"PATCHWRIGHT_TOKEN": token}})
    return Order(documents.PATCH_DOCUMENT, "2.2", (step,))


class CommandRun:
    """Runs what remains of a command."""

    def __init__(self, state: "CommandState", context: Context) -> None:
        self.state = state
        self.control = steps.Control()
        self.reboot_given_up = False
        self._context = context
        self._dir = context.command_dir(state.id)
        self._place = plugins.Place(context, state.id, self._dir, self.control)

    @property
    def is_in_transaction(self) -> bool:
        """Whether its worker is changing packages."""
        return os.path.exists(os.path.join(self._dir, steps.TRANSACTION_FILE))

    def run(self) -> bool:
        """Go on until the final reply is stored (and sent, if possible): True. False: a reboot has to come first.

        Raises JournalError, Abandoned when the daemon ends.
        """
        if self.state.final is None:
            try:
                order = read_order(self.state.payload, self._context.scan_only)
            except Refused as refusal:
                refuse(self._context, self.state, refusal)
            else:
                if not self._run_steps(order):
                    return False
                done = [self.state.results[index] for index in sorted(self.state.results)]
                payload = replies.final([(one.name, one.result) for one in done], self._context.clock.server_now())
                self._record(FINAL, reply_id=backoff.uuid4(), payload=payload)
        deliver(self._context, self.state)
        return True

    def _run_steps(self, order: Order) -> bool:
        exit_requested = False
        for index, step in enumerate(order.steps):
            if index not in self.state.results:
                result = self._result_of(index, step, order, exit_requested)
                if result is None:
                    return False
                self._record(DONE, step=index, name=step.name, reply_id=backoff.uuid4(), result=result)
                if index + 1 < len(order.steps):  # the last one's goes with the final reply, which follows at once
                    self._context.outbox.flush(self.state)
            result = self.state.results[index].result
            exit_requested = exit_requested or outcomes.requests_exit(step, result["status"], result["code"])
        return True

    def _result_of(self, index: int, step: Step, order: Order, exit_requested: bool) -> "Optional[Dict[str, Any]]":
        """The step's result; None when it has to wait for a reboot."""
        decision, reason = outcomes.decide(step, order.schema_version, exit_requested)
        earlier = self.state.starts.get(index)
        if earlier is None:
            if self.state.cancelled or self.control.is_cancelled:
                return self._brief(step, outcomes.CANCELLED, 1, "")
            if decision == outcomes.SKIP:
                return self._brief(step, outcomes.SKIPPED, 0, reason)
            if decision == outcomes.FAIL:
                return self._brief(step, outcomes.FAILED, 1, reason)
        elif earlier.reboot_boot_id:
            if self.reboot_given_up:
                return self._interrupted(index, step, NO_REBOOT)
            if self.state.cancelled or self.control.is_cancelled:
                return self._brief(step, outcomes.CANCELLED, 1, "")
            if earlier.reboot_boot_id == platform.boot_id():
                return None
        elif step.action in documents.UPDATE_AGENT:
            return self._updated(index, step)
        elif not order.is_patch_step(step) or earlier.runs >= MAX_PATCH_RUNS or self.state.cancelled:
            return self._interrupted(index, step, NOT_RUN_AGAIN)
        return self._run_step(index, step, order)

    def _updated(self, index: int, step: Step) -> "Dict[str, Any]":
        """The result of an update of this agent, which an earlier process began."""
        from patchwright_agent.daemon import agent_update

        outcome = agent_update.outcome_of(self._place)
        if outcome is None:
            return self._interrupted(index, step, NOT_RUN_AGAIN)
        status, code = outcomes.settle(step, outcome.status, outcome.code)
        clock = self._context.clock
        started_at, now = clock.by_server(self.state.starts[index].first_at), clock.server_now()
        return replies.step_result(step, status, code, outcome.stdout, outcome.stderr, started_at, now)

    def _run_step(self, index: int, step: Step, order: Order) -> "Optional[Dict[str, Any]]":
        folder = steps.StepFolder(self._dir, index)
        try:
            storage.prepare_dir(self._dir)
            outcome = self._run_to_its_end(index, step, order, folder)
        except (OSError, ValueError, storage.StorageError) as error:
            return self._brief(step, outcomes.FAILED, 1, "The step could not be started: %s" % error)
        started_at = self._context.clock.by_server(self.state.starts[index].first_at)
        status, code, stderr = outcome.status, outcome.code, outcome.stderr
        if status == outcomes.SUCCESS_AND_REBOOT and self._context.scan_only:
            status, stderr = outcomes.FAILED, stderr + NO_REBOOT_SCAN_ONLY.encode("ascii")
        status, code = outcomes.settle(step, status, code)
        now = self._context.clock.server_now()
        result = replies.step_result(step, status, code, outcome.stdout, stderr, started_at, now)
        if status != outcomes.SUCCESS_AND_REBOOT:
            return result
        self._record(REBOOTING, step=index, boot_id=platform.boot_id())
        log.say("command %s asks for a reboot (exit code 194)" % self.state.id)
        payload = replies.step_done(step.name, result, [status])
        self._context.outbox.send_unstored(self.state.message_id, backoff.uuid4(), payload)
        return None

    def _run_to_its_end(self, index: int, step: Step, order: Order, folder: steps.StepFolder) -> steps.Outcome:
        """Run the step; a patch document's again if a signal that we did not send ended its worker (out of memory)."""
        while True:
            self._record(STARTED, step=index)
            outcome = plugins.run(step, self._place, folder)
            was_killed = outcome.status == outcomes.FAILED and outcome.code == outcomes.NEVER_RAN
            is_over = self.control.is_cancelled or self.state.starts[index].runs >= MAX_PATCH_RUNS
            if not was_killed or not order.is_patch_step(step) or is_over:
                return outcome
            log.say("command %s: its worker was killed; it goes on with another one" % self.state.id)

    def _brief(self, step: Step, status: str, code: int, reason: str) -> "Dict[str, Any]":
        """The result of a step that did not run."""
        now = self._context.clock.server_now()
        status, code = outcomes.settle(step, status, code)
        said = reason.encode("utf-8", "replace")
        stdout, stderr = (said, b"") if status == outcomes.SKIPPED else (b"", said)
        return replies.step_result(step, status, code, stdout, stderr, now, now)

    def _interrupted(self, index: int, step: Step, reason: str) -> "Dict[str, Any]":
        """The result of a step whose end nobody saw, with what it had written."""
        stdout, stderr = steps.StepFolder(self._dir, index).streams()
        stderr = (
            stderr[: replies.MAX_STREAM_BYTES - len(reason) - 1] + (b"\n" if stderr else b"") + reason.encode("ascii")
        )
        clock = self._context.clock
        started_at, now = clock.by_server(self.state.starts[index].first_at), clock.server_now()
        status, code = outcomes.settle(step, outcomes.FAILED, outcomes.NEVER_RAN)
        return replies.step_result(step, status, code, stdout, stderr, started_at, now)

    def _record(self, kind: str, **members: "Any") -> None:
        self._context.journal.append(kind, self.state.id, **members)


def refuse(context: Context, state: "CommandState", refusal: Refused) -> None:
    """Store the one final reply to an order that isn't run."""
    log.say("command %s (%s) was refused: %s" % (state.id, state.name, refusal.reason))
    payload = replies.refused(refusal.reason, refusal.step_name, context.clock.server_now())
    context.journal.append(FINAL, state.id, reply_id=backoff.uuid4(), payload=payload)


def deliver(context: Context, state: "CommandState") -> bool:
    """Send what is stored; once the final reply is taken, remove the command's files. Whether that is so."""
    if not context.outbox.flush(state) or not state.is_finished:
        return False
    remove_tree(context.command_dir(state.id))
    context.journal.close_command(state.id)
    return True


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it; links are removed, not followed. What resists is said and left."""
    try:
        for folder, folders, files in os.walk(path, topdown=False):
            for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
    except OSError as error:
        log.say("cannot remove %s: %s" % (path, error.strerror))
