"""A host that is shut down in the middle of a transaction: its own systemd waits until the transaction is whole."""

from collections.abc import Iterator

import pytest
from tests.e2e.apt_hosts import is_sound, prepared, versions
from tests.e2e.booted import BootedRoot
from tests.e2e.conftest import MakeRepository
from tests.e2e.planner import ENTRY, Planner
from tests.e2e.repository import Deb
from tests.e2e.roots import LabNetwork, booted_base
from tests.e2e.servers import eventually
from tests.e2e.test_apt_interrupted import WAITING

pytestmark = pytest.mark.root


@pytest.fixture
def host(lab_network: LabNetwork) -> Iterator[BootedRoot]:
    root = BootedRoot(booted_base(), lab_network, "shutdown-1")
    try:
        root.install_agent()
        yield root
    finally:
        root.close()


def test_a_reboot_waits_for_the_transaction(
    host: BootedRoot, make_repository: MakeRepository, planner: Planner
) -> None:
    repository = make_repository()
    repository.add("stable", Deb("tb-a", "1"), Deb("tb-a", "2", scripts={"postinst": WAITING}))
    prepared(host, repository, "tb-a=1")
    run = planner.order(("tb-a", "all", "1", "2"))
    variables = [f"--setenv={name}={value}" for name, value in run.environment().items()]
    host.run(["mkdir", "-p", run.command_dir])
    host.run(["systemd-run", "--quiet", "--unit=worker", *variables, "python3", "-c", ENTRY, "patch"])
    eventually(lambda: host.exists("/var/tmp/began"), bool, 30)

    host.run(["systemctl", "reboot", "--no-block"])
    eventually(lambda: "stopping" in host.run(["systemctl", "is-system-running"], check=False).stdout, bool, 10)
    jobs = "systemctl list-jobs --no-legend | grep -E '[.]scope +stop +running'"
    eventually(lambda: host.run(["sh", "-c", jobs], check=False).stdout, bool, 10)  # all signals have been sent
    host.write("/var/tmp/go", "")
    host.wait_for_boot(2)

    assert versions(host, "tb-a") == {"tb-a": "2"}
    assert is_sound(host)
    once = [host.read(f"/var/tmp/{name}").count("\n") for name in ("began", "ran")]
    assert once == [1, 1], "the script was ended and begun anew"
