"""aws:softwareInventory on this host. Source: spec/operations.md 2.3, 7.1."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_lab import Wire, run
from daemon_lab import NODE_ID, order

from patchwright_agent import inventory
from patchwright_agent.transport import ServerError


def gathers(**inputs: Any) -> dict[str, Any]:
    return order([{"action": "aws:softwareInventory", "name": "collect", "inputs": inputs}], version="2.0")


class Inventory(Wire):
    """A wire that takes inventory, or not."""

    items: list[dict[str, Any]] | None = None
    takes = True

    def put_inventory(self, items: list[dict[str, Any]]) -> None:
        if not self.takes:
            raise ServerError("NotImplementedException", "PutInventory is not served", 501)
        self.items = items


def test_what_is_asked_for_is_gathered_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder, custom = tmp_path / "bin", tmp_path / "inventory" / "custom"
    bin_folder.mkdir()
    custom.mkdir(parents=True)
    (custom / "rack.json").write_text(json.dumps({"TypeName": "Custom:Rack", "Content": {"Row": "7", "Unit": 3}}))
    stand_in = bin_folder / "dpkg-query"
    stand_in.write_text(
        "#!/bin/sh\n"
        "printf 'installed\\topenssl\\t1:3.0.11-1\\tamd64\\thttps://o\\tsecure\\tutils\\tann\\n"
        "config-files\\tgone\\t1\\tamd64\\t\\t\\t\\t\\n'\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    wire = Inventory()
    wanted = ("applications", "awsComponents", "networkConfig", "instanceDetailedInformation", "customInventory")
    run(wire, tmp_path, gathers(**dict.fromkeys(wanted, "Enabled"), windowsUpdates="Enabled", services="Disabled"))
    assert wire.steps["collect"]["status"] == "Success", wire.steps["collect"]["standardError"]
    assert wire.items is not None
    found = {item["TypeName"]: item for item in wire.items}
    assert list(found) == [
        "AWS:InstanceInformation", "AWS:Application", "AWS:AWSComponent", "AWS:Network",
        "AWS:InstanceDetailedInformation", "Custom:Rack",
    ]  # fmt: skip
    for item in wire.items:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["CaptureTime"])
        assert re.fullmatch(r"\d{1,6}\.\d{1,6}", item["SchemaVersion"])
        assert re.fullmatch(r"[0-9a-f]{32}", item["ContentHash"])
        assert all(isinstance(v, str) for row in item["Content"] for v in row.values())
    packages = [row for row in found["AWS:Application"]["Content"] if row["PackageId"].endswith(".deb")]
    assert [(p["Name"], p["Epoch"], p["Version"], p["Publisher"]) for p in packages] == [
        ("openssl", "1", "3.0.11-1", "ann")
    ]
    assert found["AWS:InstanceInformation"]["Content"][0]["InstanceId"] == NODE_ID
    assert int(found["AWS:InstanceDetailedInformation"]["Content"][0]["CPUs"]) >= 1
    assert found["Custom:Rack"]["Content"] == [{"Row": "7", "Unit": "3"}]
    said = wire.steps["collect"]["standardOutput"]
    assert "windowsUpdates: not gathered on this host" in said
    assert "services" not in said


def test_a_server_that_takes_no_inventory_fails_the_step(tmp_path: Path) -> None:
    wire = Inventory()
    wire.takes = False
    run(wire, tmp_path, gathers(awsComponents="Enabled"))
    assert wire.steps["collect"]["status"] == "Failed"
    assert "did not take the inventory: NotImplementedException" in wire.steps["collect"]["standardError"]


@pytest.mark.parametrize("text", ["[]", "{", '{"TypeName": "AWS:Rack", "Content": {}}', '{"TypeName": "Custom:R"}'])
def test_a_bad_custom_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json"):
        inventory.gather({"customInventory": "Enabled"}, str(tmp_path), NODE_ID)


def test_rpms_are_read_as_rpm_prints_them() -> None:
    row = ["bash", "5.1.8", "9.el9", "(none)", "x86_64", "(none)", "shell", "Unspecified", "Red Hat", "1700000000"]
    (found,) = inventory._of_rpm([row, ["short"]])
    assert (found["Epoch"], found["InstalledTime"], found["PackageId"]) == (
        "", "2023-11-14T22:13:20Z", "bash-5.1.8-9.el9.x86_64.rpm",
    )  # fmt: skip
