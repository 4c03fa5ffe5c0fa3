"""Settings of `serve`: checked once, frozen after. Each has an environment variable PATCHWRIGHT_<NAME>."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class BadSettings(Exception):
    """A setting, or a combination of them, that the server will not start with; says which and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one server process runs."""

    data_dir: Path
    """Key, certificates, SQLite file and the administrator's AWS files live here (0700)."""
    listen_host: str = "127.0.0.1"
    listen_port: int = 8484
    database_url: str | None = None
    """None: SQLite in the data folder. Else `postgresql://…`."""
    public_url: str | None = None
    """What nodes call; None: the listening address."""
    account_id: str = "000000000001"
    region: str = "local-1"
    tls: str = "off"
    """`off`, `auto` (an own CA in the data folder) or `files`."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_http: bool = False
    """Allow plain HTTP off loopback. For laboratories only: credentials travel in clear text."""
    clock_tolerance_minutes: int = 5
    """How far a caller's clock may be off: 1 to 15."""
    apt_delays: str = "honour"
    """`honour` or `ignore` approval delays of custom baselines on apt systems."""
    fast_start: bool = False
    """Start a command on as many nodes as MaxConcurrency has at once, without the slow start: 1, 2, 4, 8, …"""
    missed_windows: str = "catch-up"
    """What becomes of a maintenance window whose start was missed, since no server ran: `catch-up` starts it late, as
    long as its cutoff time has not come; `record` writes down that it was missed."""
    poll_seconds: float = 16.0
    """How long an empty GetMessages is held; the real agent gives up at 20."""
    agent_file: Path | None = None
    """The agent's zipapp, served at /agent/patchwright-agent.pyz, signed in /agent/patchwright-agent.json."""

    def __post_init__(self) -> None:
        if not (len(self.account_id) == 12 and self.account_id.isdecimal()):
            raise BadSettings("--account-id is 12 digits")
        if self.tls not in ("off", "auto", "files"):
            raise BadSettings("--tls is off or auto; certificates of your own come with --tls-cert and --tls-key")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadSettings("--tls-cert and --tls-key go together")
        if self.apt_delays not in ("honour", "ignore"):
            raise BadSettings("--apt-delays is honour or ignore")
        if self.missed_windows not in ("catch-up", "record"):
            raise BadSettings("--missed-windows is catch-up or record")
        if not 1 <= self.clock_tolerance_minutes <= 15:
            raise BadSettings("--clock-tolerance-minutes is 1 to 15")
        if not self.scheme_is_https and not self.insecure_http and not _is_loopback(self.listen_host):
            raise BadSettings(
                f"listening on {self.listen_host} without TLS would show every credential to the network: "
                "use --tls auto or --tls-cert and --tls-key (or --insecure-http in a laboratory)"
            )
        if self.public_url is not None and urlsplit(self.public_url).scheme not in ("http", "https"):
            raise BadSettings("--public-url begins with https:// or http://")

    @property
    def scheme_is_https(self) -> bool:
        return self.tls != "off" or self.tls_cert is not None

    @property
    def url(self) -> str:
        """What nodes and clients call."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.listen_host in ("0.0.0.0", "::") else self.listen_host  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.scheme_is_https else 'http'}://{shown}:{self.listen_port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
