"""The network and the processors of this host, as inventory has them."""

import os
import re
import socket
import struct

from patchwright_agent import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator

    Row = Dict[str, str]

_ADDRESS, _MASK, _HARDWARE = 0x8915, 0x891B, 0x8927  # SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFHWADDR: linux/sockios.h
_MAX_FREQUENCY = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"


def machine() -> str:
    return os.uname().machine


def network() -> "Iterator[Row]":
    """One row for each interface but the loopback."""
    lines = platform.small_file("/etc/resolv.conf").split("\n")
    dns = ",".join(line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1)
    for name in sorted(name for _, name in socket.if_nameindex()):
        if name != "lo":
            yield {
                "Name": name,
                "MacAddress": _mac(name),
                "IPV4": _ipv4(name, _ADDRESS),
                "SubnetMask": _ipv4(name, _MASK),
                "Gateway": _gateway(name),
                "DNSServer": dns,
                "IPV6": _ipv6(name),
            }


def _ipv4(name: str, what: int) -> str:
    answer = _ask(name, what)
    return socket.inet_ntoa(answer[20:24]) if answer else ""


def _mac(name: str) -> str:
    return ":".join("%02x" % byte for byte in _ask(name, _HARDWARE)[18:24])


def _ask(name: str, what: int) -> bytes:
    """What the kernel says of an interface: a struct ifreq; nothing if it has no such thing."""
    import fcntl

    request = struct.pack("256s", os.fsencode(name)[:15])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            return fcntl.ioctl(probe.fileno(), what, request)
    except OSError:
        return b""


def _ipv6(name: str) -> str:
    for line in platform.small_file("/proc/net/if_inet6").split("\n"):
        fields = line.split()
        if len(fields) == 6 and fields[5] == name:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
    return ""


def _gateway(name: str) -> str:
    """The interface's default gateway. Source: proc(5), /proc/net/route: addresses are little-endian hex."""
    for line in platform.small_file("/proc/net/route").split("\n"):
        fields = line.split()
        if len(fields) > 2 and fields[0] == name and fields[1] == "00000000" and len(fields[2]) == 8:
            return socket.inet_ntoa(struct.pack("<I", int(fields[2], 16)))
    return ""


def details() -> "Row":
    """One row."""
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
        "CPUSpeedMHz": _speed(first),
        "CPUSockets": str(len({value for name, value in values if name == "physical id"}) or 1),
        "CPUHyperThreadEnabled": str(bool(cores and siblings and cores != siblings)).lower(),
        "KernelVersion": os.uname().release,
    }


def _speed(first: "Dict[str, str]") -> str:
    """The speed that the processor can have: that of the moment would make every inventory a new one."""
    highest = platform.small_file(_MAX_FREQUENCY).strip()
    if highest.isdigit():
        return str(int(highest) // 1000)
    named = re.search(r"@ ([0-9]{1,2}\.[0-9]{1,3})GHz", first.get("model name", ""))
    return str(round(float(named.group(1)) * 1000)) if named else first.get("cpu MHz", "").partition(".")[0]
