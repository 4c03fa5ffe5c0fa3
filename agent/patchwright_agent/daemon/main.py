"""`run`: settings, the pieces put together, the daemon started in a lean interpreter."""

import os
import signal
import sys

from patchwright_agent.daemon import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

_LEAN_MARK = "PATCHWRIGHT_AGENT_LEAN"
UPDATE_RECORD = "update.json"
RESTART = -1  # no exit code: the program in the agent's place is to be run instead of this one
# One heap for all threads, and freed memory given back at once: a resting daemon is small. Not passed on to steps.
LEAN_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536", _LEAN_MARK: "1"}


class Settings:
    """Options of `run`, as `--name=value` arguments and back."""

    def __init__(self, state_dir: str, scan_only: bool, once: bool, reboot_command: str, push: bool = True) -> None:
        self.state_dir = state_dir
        self.scan_only = scan_only
        self.once = once
        self.reboot_command = reboot_command
        self.push = push

    def arguments(self) -> "List[str]":
        chosen = ["--state-dir=" + self.state_dir, "--reboot-command=" + self.reboot_command]
        return chosen + ["--scan-only"] * self.scan_only + ["--once"] * self.once + ["--no-push"] * (not self.push)


def settled(argv: "List[str]") -> "Settings":
    """Read `Settings.arguments()` again, without an argument parser's memory."""
    values = dict(argument.partition("=")[::2] for argument in argv)
    return Settings(
        values["--state-dir"],
        "--scan-only" in values,
        "--once" in values,
        values["--reboot-command"],
        "--no-push" not in values,
    )


def is_lean() -> bool:
    """Whether this is the interpreter that `become_lean` started."""
    return os.environ.pop(_LEAN_MARK, "") == "1"


def become_lean(settings: Settings) -> int:
    """Replace this process (same pid) by an isolated interpreter without site packages: smaller, and nobody's
    PYTHONPATH or user site has a say in a daemon of root. Returns only if that fails, after running here."""
    from patchwright_agent.daemon.environment import agent_path

    environment = dict(os.environ, **LEAN_ENVIRONMENT)
    argv = [sys.executable, "-I", "-S", agent_path(), "run"] + settings.arguments()
    try:
        os.execve(sys.executable, argv, environment)  # noqa: S606 (its own program, by an argument list)
    except OSError as error:
        log.say("cannot start %s anew: %s; going on in this process" % (sys.executable, error.strerror))
    return run(settings)


def run(settings: Settings) -> int:
    """Serve until a signal; the exit code."""
    from patchwright_agent.daemon import identity, storage
    from patchwright_agent.daemon.journal import JournalError
    from patchwright_agent.transport import BadAddress

    os.umask(0o077)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        code = _serve(settings)
        return become_lean(settings) if code == RESTART else code
    except (identity.NotRegistered, storage.StorageError, BadAddress) as error:
        log.say("cannot run: %s" % error)
    except JournalError as error:
        log.say("stopped: %s. What was recorded is kept; make room, then start the agent again" % error)
    return 1


def _serve(settings: Settings) -> int:
    from patchwright_agent import __version__
    from patchwright_agent.daemon import command_run, identity, storage
    from patchwright_agent.daemon.clock import Clock
    from patchwright_agent.daemon.credentials import Credentials
    from patchwright_agent.daemon.journal import Journal
    from patchwright_agent.daemon.loop import Daemon
    from patchwright_agent.daemon.node import Node
    from patchwright_agent.daemon.outbox import Outbox
    from patchwright_agent.daemon.reboot import Reboot
    from patchwright_agent.transport import Server

    state_dir = storage.prepare_dir(settings.state_dir)
    registered = identity.load(state_dir)
    lock = storage.Lock(state_dir)
    if os.path.exists(os.path.join(state_dir, UPDATE_RECORD)):
        from patchwright_agent.daemon import agent_update

        if agent_update.on_start(state_dir):
            lock.release()
            return RESTART
    clock = Clock()
    try:
        server = Server(registered.server, registered.ca_file or None, registered.insecure_http)
    except OSError as error:
        raise storage.StorageError("the certificate %s is not usable: %s" % (registered.ca_file, error))
    node = Node(registered, server, Credentials(registered, server, state_dir, clock), clock, settings.scan_only)
    journal = Journal(state_dir, clock)
    context = command_run.Context(
        registered, node, journal, Outbox(journal, node), clock, state_dir, settings.scan_only
    )
    context.run_arguments = settings.arguments()
    mode = ", scan-only" if settings.scan_only else ""
    log.say("version %s, node %s, server %s%s" % (__version__, registered.instance_id, registered.server, mode))
    daemon = Daemon(context, Reboot(settings.reboot_command), settings.once, settings.push)
    try:
        code = daemon.run()
        if daemon.is_restarting and code == 0:
            from patchwright_agent.daemon import agent_update

            agent_update.replace_program(state_dir)
            return RESTART
        return code
    finally:
        journal.close()
        lock.release()


def options(argv: "Dict[str, object]") -> Settings:
    """Settings from parsed options."""
    from patchwright_agent.daemon import storage

    state_dir = str(argv.get("state_dir") or storage.default_state_dir())
    return Settings(
        os.path.abspath(state_dir),
        bool(argv.get("scan_only")),
        bool(argv.get("once")),
        str(argv["reboot_command"]),
        not argv.get("no_push"),
    )
