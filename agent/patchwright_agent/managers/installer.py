"""What a package manager must be able to do for an Install: simulate, apply, mend.

Values speak of slots as the facts do: (name, arch), where `arch` is the one that the facts report for the package. A
version is the manager's whole version text (an rpm's is epoch:version-release, its epoch always there). "" as
`from_version` means that nothing is installed in that slot. All texts that come from outside are made safe to print.

Source: spec/patch-baselines.md 4.2 to 4.5; docs/reference/worker-protocol.md.
"""

from typing import Callable, FrozenSet, Mapping, NamedTuple, Optional, Sequence, Tuple

# Why targets were not installed, as FinishPatchRun's ProblemCode. Source: docs/reference/worker-protocol.md.
REPOSITORY_CHANGED = "REPOSITORY_CHANGED"
LOCKED = "LOCKED"
DISK_FULL = "DISK_FULL"
BROKEN = "BROKEN"
SIGNATURE = "SIGNATURE"
CANCELLED = "CANCELLED"
DOWNLOAD = "DOWNLOAD"
MANAGER_FAILED = "MANAGER_FAILED"

Slot = Tuple[str, str]


class Target(NamedTuple):
    """What is to be installed: exactly `version`, over `from_version`."""

    name: str
    arch: str
    from_version: str
    version: str


class Change(NamedTuple):
    """What a transaction would install or change, or an item of a Plan: the same fields as a target."""

    name: str
    arch: str
    from_version: str
    version: str


class Simulation(NamedTuple):
    """`changes`: everything that would be installed or changed, targets included. `removed`: what would go.

    `problem`: the manager's words if it can't resolve the targets, or wouldn't (a hold, a downgrade); "" otherwise.
    """

    changes: Sequence[Change]
    removed: Sequence[Slot]
    problem: str


class Failure(NamedTuple):
    """A package that did not go in, with the manager's (or its script's) words."""

    name: str
    arch: str
    message: str


class Applied(NamedTuple):
    """What came of a transaction. `problem_code` is "" if nothing went wrong; `message` explains it in one line.

    `notes`: what somebody should know all the same (kept configuration files, a lock that was waited for, remedies).
    """

    failures: Sequence[Failure] = ()
    notes: Sequence[str] = ()
    problem_code: str = ""
    message: str = ""


class Executed(NamedTuple):
    """The end of a command that changed packages: its exit code (negative for a signal), both streams as one text."""

    returncode: int
    output: str


class Workplace(NamedTuple):
    """What a run gives its manager.

    `folder` is the run's own, private, made already: for preferences, helper files, outputs.
    `execute` runs one command that changes packages, in a session of its own and with its output in a file, so that it
    lives on whatever becomes of the worker; it waits for the end, however long. Everything that changes the package
    database goes through it; everything else through `run.run`.
    `is_cancelled`: whether the end was asked for; a manager that needs several transactions asks before each but the
    first, and returns what it has with CANCELLED.
    `tell` writes a line of progress.
    """

    folder: str
    execute: Callable[[Sequence[str]], Executed]
    is_cancelled: Callable[[], bool]
    tell: Callable[[str], None]


class Installer:
    """The interface. Methods raise ManagerError where the manager cannot be asked at all."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace

    def simulate(self, targets: Sequence[Target], available: Sequence[Target]) -> Simulation:
        """What installing `targets` together would do; nothing is changed.

        `available` are all targets of the run: whichever of them comes in besides does so at exactly its version.
        No removals, no recommended packages, no downgrade, no hold overridden: what would need one is said, not done.
        """
        raise NotImplementedError

    def preflight(self, items: Sequence[Change]) -> Optional[Tuple[str, str]]:
        """(problem code, message) if the items can't be applied now; nothing is changed.

        Room on the disk, a lock that another program holds (waited for, bounded, then named), and packages that are
        broken already: the message then says the command that repairs them.
        """
        raise NotImplementedError

    def apply(self, items: Sequence[Change]) -> Applied:
        """Install exactly `items` in one transaction, downloads first. Where that fails, find the culprit and let the
        others in; leave the package database sound, or say the remedy."""
        raise NotImplementedError

    def repair(self) -> Sequence[str]:
        """Mend what an own interrupted transaction left; the steps taken, as notes. Nothing to mend: no notes.

        Raises ManagerError with the remedy if it can't be mended.
        """
        raise NotImplementedError

    def database(self) -> Mapping[Slot, FrozenSet[str]]:
        """The versions that are installed whole, by slot: a quick look, to compare with a Plan.

        A package without an architecture (`all`, `noarch`) stands under the native one too, and the other way round: a
        new version may change between the two.
        """
        raise NotImplementedError
