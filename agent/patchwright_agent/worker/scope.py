"""The systemd scopes of a run: the worker's own, and one for each transaction.

A restart of the agent's service (its upgrade, needrestart) ends all processes of the service, a shutdown of the host
those of every unit; neither may end a transaction.
"""

import os
import sys
from typing import Callable, List, Sequence

from patchwright_agent import run
from patchwright_agent.daemon.environment import agent_path

SYSTEMD = "/run/systemd/system"  # exists exactly where systemd is the running init. Source: sd_booted(3)
MARK = "PATCHWRIGHT_SCOPE"
TIMEOUT_SECONDS = 30
_SCOPE = ("systemd-run", "--scope", "--quiet", "--collect", "--description=Patchwright patch run")
# A shutdown stops all units, and waits for those that take their time: a signal that does nothing begins the wait, and
# what the transaction needs stays up meanwhile. After half an hour systemd shuts down by force (reboot.target).
_TRANSACTION_SCOPE = (
    "systemd-run",
    "--scope",
    "--quiet",
    "--collect",
    "--description=Patchwright package transaction",
    "--property=KillSignal=SIGCONT",
    "--property=TimeoutStopSec=25min",
    "--property=After=basic.target network.target dbus.service",
    "--",
)


def move(token: str, state_dir: str, tell: Callable[[str], None]) -> None:
    """Start this worker anew in a scope of its own, with the same pid. Returns where that is not needed or possible.

    The order comes again to whoever says hello again, so nothing is lost by it.
    """
    if os.environ.get(MARK) or not os.path.isdir(SYSTEMD) or os.geteuid() != 0:
        return
    tried = run.run([*_SCOPE, "true"], TIMEOUT_SECONDS)
    if not tried.succeeded:
        tell("no scope of its own for this run (systemd-run: %s); going on in the agent's" % tried.error_text.strip())
        return
    environment = dict(os.environ, PATCHWRIGHT_TOKEN=token, **{MARK: "1"})
    try:
        os.execvpe(_SCOPE[0], command(state_dir), environment)  # noqa: S606 (an argument list of this program's own)
    except OSError as error:
        tell("systemd-run cannot be started: %s; going on in the agent's service" % error.strerror)


def transaction_prefix(tell: Callable[[str], None]) -> Sequence[str]:
    """What to put before a command that changes packages, so that a shutdown waits for its end. () where there is no
    systemd, or the worker has no scope of its own.
    """
    if not os.environ.get(MARK):
        return ()
    tried = run.run([*_TRANSACTION_SCOPE, "true"], TIMEOUT_SECONDS)
    if not tried.succeeded:
        tell("a shutdown of this host will not wait for the transaction (systemd-run: %s)" % tried.error_text.strip())
        return ()
    return _TRANSACTION_SCOPE


def command(state_dir: str) -> List[str]:
    """The call that runs this worker in a scope."""
    return [*_SCOPE, "--", sys.executable, agent_path(), "patch", "--state-dir", state_dir]
