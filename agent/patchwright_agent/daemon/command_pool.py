"""The threads in which commands run: some at once, some waiting, each cancellable."""

import threading
import time

from patchwright_agent import text
from patchwright_agent.daemon.command_run import CommandRun, Context, Refused, deliver, refuse
from patchwright_agent.daemon.journal import JournalError
from patchwright_agent.daemon.steps import Abandoned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional

    from patchwright_agent.daemon.command_state import CommandState

MAX_RUNNING = 5
MAX_WAITING = 5


class CommandPool:
    """`finished` counts commands that came to their final reply; `failure` is what ended the work, if anything did."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._running: "Dict[str, CommandRun]" = {}
        self._waiting: "List[CommandRun]" = []
        self._parked: "Dict[str, CommandRun]" = {}  # until after a reboot
        self._threads: "List[threading.Thread]" = []
        self._stopping = False
        self.changed = threading.Event()
        self.finished = 0
        self.failure: "Optional[BaseException]" = None
        self.on_attention: "Optional[Callable[[], None]]" = None  # a failure, or a command that waits for a reboot

    @property
    def has_room(self) -> bool:
        with self._lock:
            return len(self._running) + len(self._waiting) < MAX_RUNNING + MAX_WAITING

    @property
    def is_busy(self) -> bool:
        with self._lock:
            return bool(self._running or self._waiting)

    @property
    def count(self) -> int:
        """Commands that are running, waiting, or waiting for a reboot."""
        with self._lock:
            return len(self._running) + len(self._waiting) + len(self._parked)

    @property
    def awaits_reboot(self) -> bool:
        with self._lock:
            return bool(self._parked)

    @property
    def is_in_transaction(self) -> bool:
        """Whether a running command is changing packages: a reboot would cut that in two."""
        with self._lock:
            runs = list(self._running.values())
        return any(run.is_in_transaction for run in runs)

    def submit(self, state: "CommandState") -> None:
        """Run a command, at once or when its turn comes."""
        self._submit(CommandRun(state, self._context))

    def cancel(self, command_id: str) -> None:
        """End a command that is running or waiting; one that is parked goes on, to be cancelled at its next step."""
        with self._lock:
            parked = self._parked.pop(command_id, None)
            runs = list(self._running.values()) + self._waiting + ([parked] if parked else [])
        for run in runs:
            if run.state.id == command_id:
                run.control.cancel()
        if parked is not None:
            self._submit(parked)

    def give_up_reboot(self) -> None:
        """The reboot doesn't come: the commands that wait for it go on, that step failed."""
        with self._lock:
            parked, self._parked = list(self._parked.values()), {}
        for run in parked:
            run.reboot_given_up = True
            self._submit(run)

    def unsettled(self, command_id: str) -> bool:
        """Whether a thread is at work on the command, or will be."""
        with self._lock:
            return command_id in self._running or any(run.state.id == command_id for run in self._waiting)

    def shut_down(self, seconds: float) -> None:
        """End all steps (a package transaction is left to finish by itself) and wait for the threads."""
        with self._lock:
            self._stopping = True
            self._waiting = []
            runs, threads = list(self._running.values()), list(self._threads)
        for run in runs:
            run.control.shut_down()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _submit(self, run: CommandRun) -> None:
        with self._lock:
            self._waiting.append(run)
        self._start_next()

    def _start_next(self) -> None:
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            while self._waiting and len(self._running) < MAX_RUNNING and not self._stopping:
                run = self._waiting.pop(0)
                self._running[run.state.id] = run
                thread = threading.Thread(target=self._work, args=(run,), name=run.state.id, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self, run: CommandRun) -> None:
        is_parked = False
        try:
            is_parked = not self._run(run)
            self.finished += 0 if is_parked else 1
        except Abandoned:
            pass
        except Exception as error:  # JournalError above all; nothing may be lost with its thread
            self.failure = error
        with self._lock:
            del self._running[run.state.id]
            if is_parked:
                self._parked[run.state.id] = run
        self._start_next()
        self.changed.set()
        if self.on_attention is not None and (is_parked or self.failure is not None):
            self.on_attention()

    def _run(self, run: CommandRun) -> bool:
        try:
            return run.run()
        except (Abandoned, JournalError):
            raise
        except Exception as error:  # a defect met by this command must not stop the others, nor come back for ever
            reason = "The agent failed on this command: %s: %s" % (type(error).__name__, error)
            if run.state.final is None:
                refuse(self._context, run.state, Refused(text.field(reason)))
            deliver(self._context, run.state)
            return True
