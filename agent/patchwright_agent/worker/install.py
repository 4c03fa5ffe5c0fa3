"""An Install, and the plan without one: fresh facts, a settled Plan, a last simulation, the transaction, facts again.

Every step is in the run's journal before it begins, so that a worker that starts again (after a kill, a power cut, a
reboot) goes on where the last one stopped, and nothing is applied twice.
Source: docs/reference/worker-protocol.md.
"""

import os
import re
import time
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import platform
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import (
    BROKEN,
    CANCELLED,
    DOWNLOAD,
    LOCKED,
    MANAGER_FAILED,
    REPOSITORY_CHANGED,
    SIGNATURE,
    Applied,
    Change,
    Installer,
    Workplace,
)
from patchwright_agent.worker import report, settle
from patchwright_agent.worker.ending import Ending
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.facts_upload import keep, refresh_failure, upload
from patchwright_agent.worker.order import Order, Outcome
from patchwright_agent.worker.plan import Plan, UnusablePlan, difference, parse_plan
from patchwright_agent.worker.run_journal import APPLIED, APPLYING, FINISHED, PLANNED, BadRunId, Entry, RunJournal
from patchwright_agent.worker.server_calls import Refused, ServerCalls, Unanswered
from patchwright_agent.worker.stall import RUN_WAITING_FILE, WAITING_FILE
from patchwright_agent.worker.transactions import Transactions

LET_FINISH = "The end of this run was asked for during the package transaction, which was let finish."
# A file that the indexes name and the mirror has no more, or other packages than the Plan's: nothing was changed, and
# fresh indexes may help.
_MOVED_ON = (DOWNLOAD, REPOSITORY_CHANGED)
_SIGNATURE_WORDS = re.compile(r"signature|signed|NO_PUBKEY|BADSIG|GPG|PGP", re.IGNORECASE)


class InstallMeans(NamedTuple):
    """What an Install works with. `now` gives epoch seconds."""

    calls: ServerCalls
    collect: Callable[[bool], Document]
    state_dir: str
    ending: Ending
    installer: Callable[[Workplace], Installer]
    now: Callable[[], float] = time.time


def install(means: InstallMeans, order: Order) -> Outcome:
    """Carry out the order up to its outcome. Raises what `patch_run` turns into one."""
    try:
        return _Install(means, order).carry_out()
    except (UnusablePlan, BadRunId) as error:
        return Outcome(report.EXIT_FAILURE, str(error))


def note_finished(state_dir: str, order: Order) -> None:
    """The server has taken the report: say so in the run's journal, if it has one."""
    try:
        journal = RunJournal(state_dir, order.run_id)
        entry = journal.read()
        if entry is not None:
            journal.write(entry._replace(state=FINISHED))
    except (BadRunId, OSError) as error:
        report.tell("the run's journal cannot be closed: %s" % error)


class _Install:
    """One worker's part of a run."""

    def __init__(self, means: InstallMeans, order: Order) -> None:
        self._means = means
        self._order = order
        self._journal = RunJournal(means.state_dir, order.run_id)
        self._journal.prepare()
        self._transactions = Transactions(self._journal.folder, report.tell, _waiting_paths(means))
        self._installer = means.installer(
            Workplace(self._journal.folder, self._transactions.execute, lambda: means.ending.is_asked, report.tell)
        )

    def carry_out(self) -> Outcome:
        entry = None if self._order.plan_only else self._journal.read()
        if entry is not None and entry.state in (APPLYING, APPLIED, FINISHED):
            return self._resume(entry)
        plan, is_second = self._settled_before(entry)
        settled_at = self._means.now()  # the life that a Plan has left is counted from when the server sends it
        if plan is None:
            plan, problem = self._plan(replan=False)
            if plan is None:
                return problem
        while not self._order.plan_only and plan.items:
            self._write(PLANNED, plan, settled_at, is_second)
            stopped = self._installer.preflight(plan.items)
            if stopped is not None and (is_second or stopped[0] not in _MOVED_ON):
                return Outcome(report.EXIT_FAILURE, stopped[1], stopped[0])
            reason = stopped[1] if stopped is not None else self._misfit(plan, settled_at)
            if not reason:
                entry, applied = self._applied(plan, settled_at, is_second, plan.items)
                if is_second or applied.problem_code not in _MOVED_ON or self._means.ending.is_asked:
                    return self._report(plan, entry, applied)
                reason = applied.message
                self._write(PLANNED, plan, settled_at, is_second)  # nothing was changed: there is nothing to resume
            elif is_second:
                return self._changed(reason)
            report.tell("the Plan does not fit any more: %s" % reason)
            plan, problem = self._plan(replan=True)
            if plan is None:
                return problem
            settled_at, is_second = self._means.now(), True
        return Outcome(report.EXIT_SUCCESS, "", plan_digest=plan.digest)

    def _settled_before(self, entry: Optional[Entry]) -> Tuple[Optional[Plan], bool]:
        """The Plan that an earlier worker settled, and whether it is the second. The server's word counts."""
        if self._order.plan is None:
            return None, False
        plan = parse_plan(self._order.plan)
        if entry is not None and entry.plan.get("Digest") == plan.digest:
            return plan, entry.replanned
        return plan, entry is not None  # settled after the journal's: the second

    def _plan(self, replan: bool) -> Tuple[Optional[Plan], Outcome]:
        """A Plan on fresh facts; or None, and how the run ends instead."""
        document = self._facts(refresh=True)
        failure = refresh_failure(document)
        if failure:
            return None, Outcome(report.EXIT_FAILURE, failure + "; nothing was changed", _refresh_code(failure))
        stopped = self._installer.preflight(())
        if stopped is not None:
            return None, Outcome(report.EXIT_FAILURE, stopped[1], stopped[0])
        arguments = (self._means.calls, self._installer, self._order.run_id, document.digest, replan, report.tell)
        try:
            return settle.settle(*arguments), Outcome(report.EXIT_SUCCESS, "")
        except Refused as error:
            code = REPOSITORY_CHANGED if replan else ""
            return None, Outcome(report.EXIT_FAILURE, "no Plan was settled: %s; nothing was changed" % error, code)

    def _facts(self, refresh: bool) -> Document:
        document = self._means.collect(refresh)
        keep(self._means.state_dir, document)
        upload(lambda body: self._means.calls.call("PutFacts", dict(body, RunId=self._order.run_id)), document)
        return document

    def _misfit(self, plan: Plan, settled_at: float) -> str:
        """Why the Plan can't be applied as it is, "" if it can: its age, or what a simulation shows."""
        age = self._means.now() - settled_at
        if not 0 <= age <= plan.lifetime_seconds:
            return "it was settled %d seconds ago" % age
        return difference(plan, self._installer.simulate(plan.targets, plan.targets))

    def _changed(self, reason: str) -> Outcome:
        """The second Plan does not fit either: nothing is applied."""
        self._facts(refresh=False)
        message = (
            "the repositories or the packages of this host change while it plans: %s; nothing was changed" % reason
        )
        return Outcome(report.EXIT_FAILURE, message, REPOSITORY_CHANGED)

    def _applied(
        self, plan: Plan, settled_at: float, is_second: bool, items: Sequence[Change]
    ) -> Tuple[Entry, Applied]:
        """The transaction, and the journal's entry of it. `items` are those that are still to be applied."""
        self._begin()
        entry = self._write(APPLYING, plan, settled_at, is_second)
        try:
            return entry, self._installer.apply(items) if items else Applied()
        except ManagerError as error:
            return entry, Applied((), (), MANAGER_FAILED, str(error))

    def _report(self, plan: Plan, entry: Entry, applied: Applied) -> Outcome:
        """Keep what came of the transaction; tell the server how the host is now."""
        try:
            self._journal.write(entry._replace(state=APPLIED, applied=applied))
        except OSError as error:  # the report counts more; without this entry a next worker looks at the database
            report.tell("the run's journal cannot be written: %s" % error)
        succeeded = not applied.failures and not applied.problem_code
        code = report.EXIT_SUCCESS if succeeded else report.EXIT_FAILURE
        messages = [applied.message] + ([LET_FINISH] if self._means.ending.is_asked else [])
        try:
            self._facts(refresh=False)
        except (Refused, Unanswered, ManagerError) as error:
            code = code or report.EXIT_UPLOAD_FAILED
            messages.append("the facts after the transaction were not reported: %s" % error)
        return Outcome(
            code,
            " ".join(message for message in messages if message),
            applied.problem_code,
            plan.digest,
            applied.failures,
            (*applied.notes, *self._transactions.watch.notes),
        )

    def _begin(self) -> None:
        """From here on the run is let finish, and the server is waited for longer: it must hear what was changed."""
        self._means.ending.protect()
        self._means.calls.be_patient()

    def _resume(self, entry: Entry) -> Outcome:
        """An earlier worker began to apply: let what runs still end, mend, apply what is missing, report."""
        self._begin()
        plan = parse_plan(entry.plan)
        if entry.state != APPLYING:
            return self._report(plan, entry, entry.applied)
        report.tell("an earlier worker of this run was interrupted while it applied the Plan")
        waited = self._transactions.wait_for_predecessor()
        notes = ["a transaction that an earlier worker had begun was let finish"] if waited else []
        try:
            notes += self._installer.repair()
        except ManagerError as error:
            return self._report(plan, entry, Applied((), tuple(notes), BROKEN, str(error)))
        missing = missing_items(plan, self._installer)
        if missing and self._means.ending.is_asked:
            message = "the end was asked for before the rest of the Plan was applied"
            return self._report(plan, entry, Applied((), tuple(notes), CANCELLED, message))
        if len(missing) < len(plan.items):
            notes.append("%d of %d changes were in place already" % (len(plan.items) - len(missing), len(plan.items)))
        entry, applied = self._applied(plan, entry.settled_at, entry.replanned, missing)
        return self._report(plan, entry, applied._replace(notes=tuple(notes) + tuple(applied.notes)))

    def _write(self, state: str, plan: Plan, settled_at: float, is_second: bool) -> Entry:
        entry = Entry(state, plan.wire, settled_at, is_second, platform.boot_id())
        self._journal.write(entry)
        return entry


def _waiting_paths(means: InstallMeans) -> Sequence[str]:
    """Where a transaction that makes no progress is told of, for the daemon and for the next run."""
    folder = means.ending.command_dir
    own = [os.path.join(folder, WAITING_FILE)] if folder else []
    return [*own, os.path.join(means.state_dir, RUN_WAITING_FILE)]


def missing_items(plan: Plan, installer: Installer) -> Sequence[Change]:
    """The items of a Plan whose versions are not installed whole."""
    database = installer.database()
    return [item for item in plan.items if item.version not in database.get((item.name, item.arch), ())]


def _refresh_code(failure: str) -> str:
    """Why a refresh failed, by the manager's words."""
    if " locked for " in failure:
        return LOCKED
    return SIGNATURE if _SIGNATURE_WORDS.search(failure) else DOWNLOAD
