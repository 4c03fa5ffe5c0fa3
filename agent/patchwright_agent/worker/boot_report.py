"""Facts after a boot, sent by the node itself: no command stands behind them, so its own credentials sign them.

What waited for the reboot is cleared by them, without anybody's scan. Source: design decision 12; worker-protocol.md.
"""

from patchwright_agent import transport
from patchwright_agent.daemon import identity, storage
from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.credentials import Credentials, NoCredentials
from patchwright_agent.daemon.node import Node
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker import collect, report
from patchwright_agent.worker.collect import CollectRequest
from patchwright_agent.worker.facts_upload import keep, upload
from patchwright_agent.worker.run_lock import BOOT_REPORT, RunLock, RunLocked
from patchwright_agent.worker.server_calls import Refused

FAILURES = (
    identity.NotRegistered,
    storage.StorageError,
    transport.BadAddress,
    transport.ServerError,
    transport.Unreachable,
    NoCredentials,
    UnsupportedPlatform,
    ManagerError,
    RunLocked,
    Refused,
    OSError,
)


def report_facts(state_dir: str) -> int:
    """Collect the facts, without a refresh, and report them once; 0 when the server has taken them, else 1.

    The daemon tries again later. A patch run is waited for: halfway through one, facts would say nothing.
    """
    try:
        with RunLock(state_dir, BOOT_REPORT):
            registered = identity.load(state_dir)
            document = collect.collect(CollectRequest(state_dir, False))
            keep(state_dir, document)
            node = _node(registered, state_dir)
            upload(node.report_facts, document)
    except FAILURES as error:
        report.tell("the facts after the boot were not reported: %s" % error)
        return report.EXIT_FAILURE
    return report.EXIT_SUCCESS


def _node(registered: identity.Identity, state_dir: str) -> Node:
    clock = Clock()
    server = transport.Server(registered.server, registered.ca_file or None, registered.insecure_http)
    return Node(registered, server, Credentials(registered, server, state_dir, clock), clock)
