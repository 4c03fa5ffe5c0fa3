"""`patchwright serve` and `patchwright env`: the two commands that know the data folder."""

import argparse
import os
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.client.shared_files import DEFAULT_DATA_DIR, exports
from patchwright.server.settings import BadSettings, Settings


def add_serve(commands: Any) -> None:
    """Define `serve`: every setting is an option, and PATCHWRIGHT_<NAME> in the environment."""
    p = commands.add_parser("serve", help="run the server")
    p.add_argument("--data-dir", type=Path, help="keys, certificates, SQLite file, administrator's AWS files")
    p.add_argument("--listen", metavar="HOST:PORT", help="default 127.0.0.1:8484")
    p.add_argument("--database-url", help="postgresql://…; without it SQLite in the data folder")
    p.add_argument("--public-url", help="what nodes and clients call; default: the listening address")
    p.add_argument("--account-id", help="the first account's id, 12 digits")
    p.add_argument("--region", help="the region of the administrator's profile; default local-1")
    p.add_argument("--tls", choices=["off", "auto"], help="auto: an own certificate authority in the data folder")
    p.add_argument("--tls-cert", type=Path)
    p.add_argument("--tls-key", type=Path)
    p.add_argument("--insecure-http", action="store_true", default=None, help="plain HTTP off loopback: in a lab")
    p.add_argument("--clock-tolerance-minutes", type=int)
    p.add_argument("--apt-delays", choices=["honour", "ignore"], help="approval delays of custom baselines on apt")
    p.add_argument("--fast-start", action="store_true", default=None, help="commands start without 1, 2, 4, 8, …")
    p.add_argument("--missed-windows", choices=["catch-up", "record"], help="maintenance windows missed while down")
    p.add_argument("--poll-seconds", type=float, help="how long an idle node's poll is held")
    p.add_argument("--agent-file", type=Path, help="the agent's zipapp to serve to nodes")
    p.set_defaults(run=run_serve)


def add_env(commands: Any) -> None:
    """Define `env`."""
    p = commands.add_parser("env", help='print exports: eval "$(patchwright env)", then plain `aws ssm …` works')
    p.add_argument("--data-dir", type=Path, default=Path(os.environ.get("PATCHWRIGHT_DATA_DIR") or DEFAULT_DATA_DIR))
    p.set_defaults(run=run_env)


def _is_yes(text: str) -> bool:
    return text.lower() in ("1", "true", "yes")


_READ: dict[str, Callable[[str], Any]] = {
    "data_dir": Path,
    "tls_cert": Path,
    "tls_key": Path,
    "agent_file": Path,
    "clock_tolerance_minutes": int,
    "poll_seconds": float,
    "insecure_http": _is_yes,
    "fast_start": _is_yes,
}


def settings_from(args: argparse.Namespace) -> Settings:
    """Options first, then the environment, then defaults. Raises BadSettings."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        text = os.environ.get(f"PATCHWRIGHT_{field.name.upper()}")
        if text:
            try:
                values[field.name] = _READ.get(field.name, str)(text)
            except ValueError as wrong:
                raise BadSettings(f"PATCHWRIGHT_{field.name.upper()}: {text!r} can't be read") from wrong
    listen = args.listen or os.environ.get("PATCHWRIGHT_LISTEN")
    if listen:
        values["listen_host"], values["listen_port"] = parse_listen(listen)
    for field in fields(Settings):
        given = getattr(args, field.name, None)
        if given is not None:
            values[field.name] = given
    values.setdefault("data_dir", DEFAULT_DATA_DIR)
    if values.get("tls_cert"):
        values["tls"] = "files"
    return Settings(**values)


def parse_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[v6]:PORT`, or a port alone. Raises BadSettings."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise BadSettings(f"--listen {text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def run_serve(args: argparse.Namespace) -> int:
    """Run the server in the foreground."""
    from patchwright.server.secrets import WrongKey  # other commands need none of the server
    from patchwright.server.serve import serve
    from patchwright.store.engine import StoreUnavailable
    from patchwright.store.migrate import SchemaTooNew

    try:
        return serve(settings_from(args))
    except BadSettings as wrong:
        raise Failed(str(wrong), USAGE) from wrong
    except (WrongKey, SchemaTooNew, StoreUnavailable, OSError) as failure:
        raise Failed(str(failure)) from failure


def run_env(args: argparse.Namespace) -> int:
    """Print exports for the shell. Source: decisions.md 32."""
    for name, value in exports(args.data_dir, os.environ).items():
        print(f"export {name}={shlex.quote(value)}")
    unset = ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"]
    unset += sorted(n for n in os.environ if n.startswith("AWS_ENDPOINT_URL_"))
    overriding = ("AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE")
    unset += [n for n in overriding if n in os.environ]
    print(f"unset {' '.join(unset)}")
    return OK
