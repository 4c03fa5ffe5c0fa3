"""The whole road of inventory on real hosts: the document gathers what dpkg and rpm know, GetInventory answers it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.agents import STATE_DIR, Agent, build_zipapp
from tests.e2e.enrolled import OVER, Enrolled
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.rpm_hosts import ROCKY_9, pose
from tests.e2e.servers import ServerProcess, eventually

pytestmark = pytest.mark.root

APPLICATION = "AWS:Application"
STEP = "collectSoftwareInventoryItems"
QUERIES = (
    ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Architecture}\\n"],
    ["rpm", "-qa", "--qf", "installed %{NAME} %{ARCH}\\n"],
)


class Road(Enrolled):
    """A server with one host under it."""

    def __init__(self, server: ServerProcess, root: Root, agent: Agent, manager: str) -> None:
        super().__init__(server, agent)
        self.root, self.manager = root, manager
        agent.start()

    def gather(self, **parameters: str) -> dict[str, Any]:
        """Send the document; its step, once it is over."""
        command_id = self.send("AWS-GatherSoftwareInventory", **parameters)
        status = eventually(
            lambda: self.ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"], lambda s: s in OVER, 60
        )
        answer: dict[str, Any] = self.ssm.get_command_invocation(
            CommandId=command_id, InstanceId=self.agent.node_id, PluginName=STEP
        )
        assert status == "Success", answer["StandardErrorContent"] + answer["StandardOutputContent"]
        return answer

    def having(self, name: str) -> list[dict[str, str]]:
        """The rows of the package, of the nodes that a filter finds."""
        found = self.ssm.get_inventory(
            Filters=[{"Key": f"{APPLICATION}.Name", "Values": [name]}], ResultAttributes=[{"TypeName": APPLICATION}]
        )["Entities"]
        return [row for e in found for row in e["Data"][APPLICATION]["Content"] if row["Name"] == name]

    def rows(self, type_name: str) -> list[dict[str, str]]:
        (entity,) = self.ssm.get_inventory(ResultAttributes=[{"TypeName": type_name}])["Entities"]
        assert entity["Id"] == self.agent.node_id
        return list(entity["Data"][type_name]["Content"])


@pytest.fixture(scope="module", params=["apt", pytest.param("dnf", marks=pytest.mark.slow)])
def road(
    request: pytest.FixtureRequest, lab_network: LabNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("inventory")
    base: Path = request.getfixturevalue("apt_base" if request.param == "apt" else "rpm_base")
    with ExitStack() as stack:
        server = ServerProcess(folder, lab_network.address, options=("--poll-seconds", "3")).start()
        stack.callback(server.kill)
        root = Root(base, lab_network, f"inventory-{request.param}")
        stack.callback(root.close)
        if request.param == "dnf":
            pose(root, ROCKY_9, folder / "release-packages")
        agent = Agent(root, build_zipapp(folder / "agent.pyz"), folder)
        stack.callback(agent.kill)
        yield Road(server, root, agent, request.param)


def test_what_the_document_gathers_is_what_the_package_database_has(road: Road) -> None:
    road.root.write("/etc/marked.conf", "12345")
    custom = f"{STATE_DIR}/inventory/custom"
    road.root.run(["mkdir", "-p", custom])
    rack = {"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7\x1b"}}
    road.root.write(f"{custom}/rack.json", json.dumps(rack))
    orders = json.dumps([{"Path": "/etc", "Pattern": ["marked.conf"]}])

    step = road.gather(files=orders)

    said = step["StandardOutputContent"]
    # The roots with dnf are Debian by their files: both databases are there, and both count.
    said_so = (road.root.run(query, check=False).stdout for query in QUERIES)
    lines = [line for out in said_so for line in out.splitlines()]
    installed = [line.split()[1:] for line in lines if line.startswith("installed ")]
    assert f"{APPLICATION}: {len(installed)}" in said, step
    assert sorted([r["Name"], r.get("Architecture", "(none)")] for r in road.rows(APPLICATION)) == sorted(installed)
    (tool,) = road.having("bash" if road.manager == "apt" else f"{ROCKY_9.name}-release")
    assert tool["Version"]
    assert tool["InstalledTime"].endswith("Z")
    assert tool["PackageId"].endswith(".deb" if road.manager == "apt" else ".rpm")
    (file,) = road.rows("AWS:File")
    assert (file["Name"], file["Size"], file["InstalledDir"]) == ("marked.conf", "5", "/etc")
    assert road.rows("Custom:Rack") == [{"Row": "7 "}]
    assert road.rows("AWS:Network")[0]["IPV4"].count(".") == 3
    assert int(road.rows("AWS:InstanceDetailedInformation")[0]["CPUs"]) >= 1
    (known,) = road.rows("AWS:InstanceInformation")
    assert known["PlatformType"] == "Linux"
    assert "windowsUpdates: not gathered on this host" in said

    road.gather(files=orders)
    taken = json.loads(road.root.read(f"{STATE_DIR}/inventory-taken.json"))
    (entity,) = road.ssm.get_inventory(ResultAttributes=[{"TypeName": APPLICATION}])["Entities"]
    assert entity["Data"][APPLICATION]["ContentHash"] == taken[APPLICATION]
    assert len(entity["Data"][APPLICATION]["Content"]) == len(installed)
