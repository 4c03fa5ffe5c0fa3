"""aws:softwareInventory on this host. Source: spec/operations.md 2.3, 7.1."""

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from command_lab import Wire, daemon, message, run, settle
from daemon_lab import order

from patchwright_agent import inventory
from patchwright_agent.inventory_files import MAX_FILES, files
from patchwright_agent.transport import ServerError


def gathers(**inputs: Any) -> dict[str, Any]:
    return order([{"action": "aws:softwareInventory", "name": "collect", "inputs": inputs}], version="2.0")


class Inventory(Wire):
    """A wire that takes inventory, or not."""

    items: list[dict[str, Any]] | None = None
    takes, holds = True, True

    def put_inventory(self, items: list[dict[str, Any]]) -> None:
        if not self.takes:
            raise ServerError("AccessDeniedException", "not you", 400)
        if not self.holds and any("Content" not in item for item in items):
            raise ServerError("ItemContentMismatchException", "send it", 400)
        self.items = items


def test_what_is_asked_for_is_gathered_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder, custom = tmp_path / "bin", tmp_path / "inventory" / "custom"
    bin_folder.mkdir()
    custom.mkdir(parents=True)
    (custom / "rack.json").write_text(json.dumps({"TypeName": "Custom:Rack", "Content": {"Row": "7", "Unit": 3}}))
    stand_in = bin_folder / "dpkg-query"
    stand_in.write_text(
        "#!/bin/sh\n"
        "printf 'installed\\topenssl\\t1:3.0.11-1\\tamd64\\thttps://o\\tse\\033cure\\tutils\\tann\\t1700000000\\n"
        "config-files\\tgone\\t1\\tamd64\\t\\t\\t\\t\\t\\n'\n"
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
        "AWS:Application", "AWS:AWSComponent", "AWS:Network",
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
    assert (packages[0]["Summary"], packages[0]["InstalledTime"]) == ("se cure", "2023-11-14T22:13:20Z")
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
    assert "did not take the inventory: AccessDeniedException" in wire.steps["collect"]["standardError"]


@pytest.mark.parametrize("text", ["[]", "{", '{"TypeName": "AWS:Rack", "Content": {}}', '{"TypeName": "Custom:R"}'])
def test_a_bad_custom_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json"):
        inventory.gather({"customInventory": "Enabled"}, str(tmp_path))


def test_rpms_are_read_as_rpm_prints_them() -> None:
    row = ["bash", "5.1.8", "9.el9", "(none)", "x86_64", "(none)", "shell", "Unspecified", "Red Hat", "1700000000"]
    (found,) = inventory._of_rpm([row, ["short"]])
    assert (found["Epoch"], found["InstalledTime"], found["PackageId"]) == (
        "", "2023-11-14T22:13:20Z", "bash-5.1.8-9.el9.x86_64.rpm",
    )  # fmt: skip


def test_what_the_server_holds_is_not_sent_again_unless_it_asks(tmp_path: Path) -> None:
    wire = Inventory()

    def sent() -> dict[str, Any]:
        one = daemon(wire, tmp_path)
        one.take(message(gathers(awsComponents="Enabled"), str(uuid.uuid4())))
        settle(one)
        assert wire.steps["collect"]["status"] == "Success", wire.steps["collect"]["standardError"]
        assert wire.items is not None
        return wire.items[0]

    first = sent()
    assert first["Content"]
    second = sent()
    assert "Content" not in second
    assert second["ContentHash"] == first["ContentHash"]
    wire.holds = False
    assert sent()["Content"] == first["Content"]
    (tmp_path / "inventory-taken.json").write_text("nonsense")
    assert sent()["Content"] == first["Content"]


def test_no_more_is_sent_than_the_server_takes(capsys: pytest.CaptureFixture[str]) -> None:
    row = {f"A{n}": "x" * 9000 for n in range(10)}
    item = inventory._item("Custom:Large", "1.0", [{**row, "N": str(n)} for n in range(200)])
    size = sum(len(k) + len(v) for r in item["Content"] for k, v in r.items())
    assert 0.9 * inventory.MAX_ITEM_CHARACTERS < size <= inventory.MAX_ITEM_CHARACTERS
    assert max(len(v) for v in item["Content"][0].values()) == inventory.MAX_VALUE_CHARACTERS
    assert "of 200 rows are sent" in capsys.readouterr().out
    one = inventory._item("Custom:T", "1.0", [{"B": "\ud800x"}, {"A": "1"}])
    two = inventory._item("Custom:T", "1.0", [{"A": "1"}, {"B": "\ud800x"}])
    assert one["ContentHash"] == two["ContentHash"]
    json.dumps(one).encode().decode("utf-8")
    assert one["Content"][1] == {"B": " x"}


def test_files_are_named_never_opened_and_no_link_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "one.conf").write_text("12345")
    (deep / "two.conf").write_text("")
    (deep / "no.txt").write_text("")
    (deep / "up").symlink_to(tmp_path)
    (deep / "link.conf").symlink_to("/etc/passwd")
    os.mkfifo(deep / "pipe.conf")

    def names(**order: Any) -> list[str]:
        return sorted(row["Name"] for row in files(json.dumps([{"Path": str(tmp_path), **order}])))

    assert names(Pattern=["*.conf"]) == ["one.conf"]
    assert names(Pattern=["*.conf"], Recursive=True) == ["one.conf", "two.conf"]
    (row,) = files(json.dumps([{"Path": str(tmp_path), "Pattern": ["one*"]}]))
    assert (row["Size"], row["InstalledDir"]) == ("5", str(tmp_path))
    assert names(Recursive=True, DirScanLimit=2) == ["one.conf"]
    assert "more than 2 entries" in capsys.readouterr().out
    assert files(json.dumps([{"Path": "/nowhere"}])) == []
    for n in range(MAX_FILES + 5):
        (deep / f"{n}.log").write_text("")
    assert len(files(json.dumps([{"Path": str(deep), "Pattern": ["*.log"]}]))) == MAX_FILES
    for bad in ("{", "{}", "[]", "[1]", '[{"Path": "etc"}]', '[{"Path": "/etc", "Pattern": "*"}]',
                '[{"Path": "/etc", "DirScanLimit": 0}]', "[" * 100_000):  # fmt: skip
        with pytest.raises(ValueError, match="files"):
            files(bad)


def test_services_are_those_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "systemctl"
    stand_in.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*list-units*) echo 'ssh.service loaded active running OpenBSD Secure Shell server';;\n"
        "*) echo 'ssh.service enabled enabled';;\n"
        "esac\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (item,) = inventory.gather({"services": "Enabled"}, "")
    assert item["Content"] == [
        {
            "Name": "ssh.service",
            "DisplayName": "OpenBSD Secure Shell server",
            "ServiceType": "systemd",
            "Status": "running",
            "StartType": "enabled",
        }
    ]
    stand_in.write_text("#!/bin/sh\nexit 1\n")
    assert inventory.gather({"services": "Enabled"}, "")[0]["Content"] == []
