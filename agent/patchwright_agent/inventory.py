"""`inventory FILE`: gathers what a step of aws:softwareInventory asks for. Source: spec/operations.md 2.3, 7.1.

FILE holds {"inputs": {...}, "custom": folder, "output": path}; the items go to `output` as PutInventory takes them.
What Linux hosts don't have is left out and named. AWS:InstanceInformation is not sent: the server has it already.
"""

import hashlib
import json
import os
import subprocess
import sys
import time

from patchwright_agent import __version__, inventory_files, inventory_host, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

    Row = Dict[str, str]

MAX_ROWS = 10000
MAX_VALUE_CHARACTERS = 4096
MAX_ITEM_CHARACTERS = 3 * 1024 * 1024
MAX_CUSTOM_FILES, MAX_CUSTOM_BYTES = 20, 256 * 1024
QUERY_SECONDS = 120
_DPKG = (
    "db:Status-Status",
    "Package",
    "Version",
    "Architecture",
    "Homepage",
    "binary:Summary",
    "Section",
    "Maintainer",
    "db-fsys:Last-Modified",
)
_RPM = ("NAME", "VERSION", "RELEASE", "EPOCH", "ARCH", "URL", "SUMMARY", "GROUP", "VENDOR", "INSTALLTIME")
_NOT_HERE = ("windowsUpdates", "windowsRoles", "windowsRegistry", "billingInfo")


def main(argv: "List[str]") -> int:
    """0 gathered, 1 not, with the reason on standard error."""
    try:
        with open(argv[0], encoding="utf-8") as file:
            order = json.load(file)
        items = gather(order["inputs"], order["custom"])
        with open(order["output"], "w", encoding="utf-8") as file:
            json.dump(items, file)
    except (OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError) as error:
        sys.stderr.write("not gathered: %s\n" % (error or type(error).__name__))
        return 1
    for item in items:
        print("%s: %d" % (item["TypeName"], len(item["Content"])))
    for name in _NOT_HERE:
        if order["inputs"].get(name) not in (None, "", "Disabled"):
            print("%s: not gathered on this host" % name)
    return 0


def gather(inputs: "Dict[str, Any]", custom: str) -> "List[Dict[str, Any]]":
    """The items that are asked for. Raises OSError, ValueError, SubprocessError."""
    items = []
    if _wanted(inputs, "applications"):
        items.append(_item("AWS:Application", "1.1", applications()))
    if _wanted(inputs, "awsComponents"):
        agent = {"Name": "patchwright-agent", "ApplicationType": "admin", "Version": __version__}
        agent.update(Publisher="Patchwright", Architecture=inventory_host.machine())
        items.append(_item("AWS:AWSComponent", "1.0", [agent]))
    if _wanted(inputs, "networkConfig"):
        items.append(_item("AWS:Network", "1.0", list(inventory_host.network())))
    if _wanted(inputs, "instanceDetailedInformation"):
        items.append(_item("AWS:InstanceDetailedInformation", "1.0", [inventory_host.details()]))
    if _wanted(inputs, "services"):
        items.append(_item("AWS:Service", "1.0", _services()))
    if inputs.get("files") not in (None, "", "Disabled"):
        items.append(_item("AWS:File", "1.0", inventory_files.files(str(inputs["files"]))))
    if _wanted(inputs, "customInventory"):
        items.extend(_custom(inputs.get("customInventoryDirectory") or custom))
    return items


def _wanted(inputs: "Dict[str, Any]", name: str) -> bool:
    return bool(inputs.get(name) == "Enabled")


def _item(type_name: str, version: str, rows: "List[Row]") -> "Dict[str, Any]":
    """An item, its rows cleaned, in an order of their own and as many as may be sent."""
    cleaned = ({k: text.line(v)[:MAX_VALUE_CHARACTERS] for k, v in row.items() if v} for row in rows[:MAX_ROWS])
    content, size = [], 0
    for row in sorted(cleaned, key=lambda row: sorted(row.items())):
        size += sum(len(name) + len(value) for name, value in row.items())
        if size > MAX_ITEM_CHARACTERS:
            break
        content.append(row)
    if len(content) < len(rows):
        print("%s: %d of %d rows are sent, more is too much" % (type_name, len(content), len(rows)))
    # The hash that the protocol asks for: whether something has changed, and no more.
    digest = hashlib.new("md5")  # noqa: S324
    digest.update(json.dumps(content, sort_keys=True).encode("ascii"))
    return {
        "TypeName": type_name,
        "SchemaVersion": version,
        "CaptureTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "ContentHash": digest.hexdigest(),
        "Content": content,
    }


def applications() -> "List[Row]":
    """The packages of dpkg and of rpm, whichever are there."""
    return list(_of_dpkg(_query("dpkg-query", ["-W", "-f", _format("${%s}", _DPKG)]))) + list(
        _of_rpm(_query("rpm", ["-qa", "--qf", _format("%%{%s}", _RPM)]))
    )


def _format(field: str, names: "tuple[str, ...]") -> str:
    return "\\t".join(field % name for name in names) + "\\n"


def _query(program: str, arguments: "List[str]") -> "List[List[str]]":
    """The rows that a package database prints; none if the host has no such database."""
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    try:
        said = subprocess.check_output(
            [program] + arguments, stdin=subprocess.DEVNULL, env=environment, timeout=QUERY_SECONDS
        )
    except FileNotFoundError:
        return []
    return [line.split("\t") for line in said.decode("utf-8", "replace").split("\n") if line]


def _of_dpkg(rows: "List[List[str]]") -> "Iterator[Row]":
    for row in rows:
        if len(row) == len(_DPKG) and row[0] == "installed":
            epoch, colon, rest = row[2].partition(":")
            yield {
                "Name": row[1],
                "Version": rest if colon else row[2],
                "Epoch": epoch if colon else "",
                "Architecture": row[3],
                "URL": row[4],
                "Summary": row[5],
                "ApplicationType": row[6],
                "Publisher": row[7],
                "InstalledTime": _time(row[8]),
                "PackageId": "%s_%s_%s.deb" % (row[1], row[2], row[3]),
            }


def _of_rpm(rows: "List[List[str]]") -> "Iterator[Row]":
    for row in rows:
        if len(row) == len(_RPM):
            values = ["" if value == "(none)" else value for value in row]
            installed = values[9]
            yield {
                "Name": values[0],
                "Version": values[1],
                "Release": values[2],
                "Epoch": values[3],
                "Architecture": values[4],
                "URL": values[5],
                "Summary": values[6],
                "ApplicationType": values[7],
                "Publisher": values[8],
                "InstalledTime": _time(installed),
                "PackageId": "%s-%s-%s.%s.rpm" % (values[0], values[1], values[2], values[4]),
            }


def _time(seconds: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds))) if seconds.isdigit() else ""


def _services() -> "List[Row]":
    """The services that systemd knows, with how they are and when they start."""
    units = _columns(["list-units", "--type=service", "--all", "--full"], 5)
    starts = {row[0]: row[1] for row in _columns(["list-unit-files", "--type=service", "--full"], 3) if len(row) > 1}
    return [
        {
            "Name": row[0],
            "DisplayName": row[4] if len(row) > 4 else "",
            "ServiceType": "systemd",
            "Status": row[3],
            "StartType": starts.get(row[0], ""),
        }
        for row in units
        if len(row) > 3
    ]


def _columns(arguments: "List[str]", columns: int) -> "List[List[str]]":
    """What systemctl lists; nothing where systemd does not run."""
    command = ["systemctl", "--no-pager", "--no-legend", "--plain"] + arguments
    try:
        said = subprocess.check_output(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, LC_ALL="C.UTF-8"),
            timeout=QUERY_SECONDS,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return [line.split(None, columns - 1) for line in said.decode("utf-8", "replace").split("\n") if line.strip()]


def _custom(folder: str) -> "Iterator[Dict[str, Any]]":
    """Items that others left in files: {"SchemaVersion", "TypeName", "Content": object or list}. Raises ValueError."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except FileNotFoundError:
        return
    for name in names[:MAX_CUSTOM_FILES]:
        with open(os.path.join(folder, name), "rb") as file:
            value = _json(file.read(MAX_CUSTOM_BYTES + 1), name)
        type_name, content = value.get("TypeName"), value.get("Content")
        rows = [content] if isinstance(content, dict) else content
        is_named = isinstance(type_name, str) and type_name.startswith("Custom:")
        if not is_named or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("%s holds no inventory: TypeName Custom:… and Content are needed" % name)
        texts = [{text.line(str(key)): str(value) for key, value in row.items()} for row in rows]
        yield _item(text.line(str(type_name)), text.line(str(value.get("SchemaVersion", "1.0"))), texts)


def _json(content: bytes, name: str) -> "Dict[str, Any]":
    if len(content) > MAX_CUSTOM_BYTES:
        raise ValueError("%s is larger than %d bytes" % (name, MAX_CUSTOM_BYTES))
    try:
        value: "Optional[Any]" = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("%s is no JSON object" % name)
    return value
