"""`inventory FILE`: gathers what a step of aws:softwareInventory asks for. Source: spec/operations.md 2.3, 7.1.

FILE holds {"inputs": {...}, "custom": folder, "instance_id": id, "output": path}; the items go to `output` as
PutInventory takes them. What Linux hosts don't have is left out and named.
"""

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time

from patchwright_agent import __version__, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

    Row = Dict[str, str]

MAX_ROWS = 10000
MAX_VALUE_CHARACTERS = 4096
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
)
_RPM = ("NAME", "VERSION", "RELEASE", "EPOCH", "ARCH", "URL", "SUMMARY", "GROUP", "VENDOR", "INSTALLTIME")
_NOT_HERE = ("windowsUpdates", "windowsRoles", "windowsRegistry", "services", "billingInfo", "files")


def main(argv: "List[str]") -> int:
    """0 gathered, 1 not, with the reason on standard error."""
    try:
        with open(argv[0], encoding="utf-8") as file:
            order = json.load(file)
        items = gather(order["inputs"], order["custom"], order["instance_id"])
        with open(order["output"], "w", encoding="utf-8", errors="replace") as file:
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


def gather(inputs: "Dict[str, Any]", custom: str, instance_id: str) -> "List[Dict[str, Any]]":
    """The items that are asked for. Raises OSError, ValueError, SubprocessError."""
    items = [_item("AWS:InstanceInformation", "1.0", [_instance(instance_id)])]
    if _wanted(inputs, "applications"):
        items.append(_item("AWS:Application", "1.1", applications()))
    if _wanted(inputs, "awsComponents"):
        agent = {"Name": "patchwright-agent", "ApplicationType": "admin", "Version": __version__}
        items.append(_item("AWS:AWSComponent", "1.0", [dict(agent, Publisher="Patchwright", Architecture=_machine())]))
    if _wanted(inputs, "networkConfig"):
        items.append(_item("AWS:Network", "1.0", list(_network())))
    if _wanted(inputs, "instanceDetailedInformation"):
        items.append(_item("AWS:InstanceDetailedInformation", "1.0", [_details()]))
    if _wanted(inputs, "customInventory"):
        items.extend(_custom(inputs.get("customInventoryDirectory") or custom))
    return items


def _wanted(inputs: "Dict[str, Any]", name: str) -> bool:
    return bool(inputs.get(name) == "Enabled")


def _item(type_name: str, version: str, rows: "List[Row]") -> "Dict[str, Any]":
    content = [{k: v[:MAX_VALUE_CHARACTERS] for k, v in row.items() if v} for row in rows[:MAX_ROWS]]
    # The hash that the protocol asks for: whether something has changed, and no more.
    digest = hashlib.new("md5")  # noqa: S324
    digest.update(json.dumps(content, sort_keys=True).encode("utf-8", "replace"))
    return {
        "TypeName": type_name,
        "SchemaVersion": version,
        "CaptureTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "ContentHash": digest.hexdigest(),
        "Content": content,
    }


def _instance(instance_id: str) -> "Row":
    system = platform.operating_system()
    return {
        "AgentType": "patchwright-agent",
        "AgentVersion": __version__,
        "AgentStatus": "Active",
        "InstanceStatus": "Active",
        "ComputerName": os.uname().nodename,
        "InstanceId": instance_id,
        "PlatformName": system.name or "Linux",
        "PlatformType": "Linux",
        "PlatformVersion": system.version_id,
        "ResourceType": "ManagedInstance",
    }


def _machine() -> str:
    return os.uname().machine


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


def _network() -> "Iterator[Row]":
    for name in sorted(os.listdir("/sys/class/net")):
        if name != "lo":
            yield {
                "Name": name,
                "MacAddress": platform.small_file("/sys/class/net/%s/address" % name).strip(),
                "IPV4": _ipv4(name),
                "IPV6": _ipv6(name),
            }


def _ipv4(name: str) -> str:
    import fcntl

    request = struct.pack("256s", os.fsencode(name)[:15])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24])  # SIOCGIFADDR
    except OSError:
        return ""  # it has none


def _ipv6(name: str) -> str:
    for line in platform.small_file("/proc/net/if_inet6").split("\n"):
        fields = line.split()
        if len(fields) == 6 and fields[5] == name:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
    return ""


def _details() -> "Row":
    values = [
        tuple(part.strip() for part in line.partition(":")[::2])
        for line in platform.small_file("/proc/cpuinfo").split("\n")
    ]
    first = dict(reversed(values))
    cores, siblings = first.get("cpu cores", ""), first.get("siblings", "")
    return {
        "CPUModel": first.get("model name", ""),
        "CPUs": str(os.cpu_count() or 1),
        "CPUCores": cores,
        "CPUSpeedMHz": first.get("cpu MHz", "").partition(".")[0],
        "CPUSockets": str(len({value for name, value in values if name == "physical id"}) or 1),
        "CPUHyperThreadEnabled": str(bool(cores and siblings and cores != siblings)).lower(),
    }


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
        texts = [{str(key): str(text) for key, text in row.items()} for row in rows]
        yield _item(str(type_name), str(value.get("SchemaVersion", "1.0")), texts)


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
