"""docs/reference/settings.md and cli.md: from the Settings dataclass and the argument parsers."""

import argparse
import ast
import re
import sys
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

from tools import generated

from patchwright.cli.main import parser
from patchwright.server import settings as settings_module
from patchwright.server.settings import Settings

SETTINGS, CLI = "docs/reference/settings.md", "docs/reference/cli.md"
WORDS = {
    "data_dir": "Folder of keys, certificates, the SQLite file and the administrator's AWS files.",
    "database_url": "`postgresql://…`; without it SQLite in the data folder.",
    "public_url": "What nodes and clients call; without it the listening address.",
    "tls": "`auto`: a certificate authority of its own, in the data folder. With `--tls-cert` it is `files` by itself.",
    "user": "the name of the key's user; required",
    "id": "the key's id",
    "node": "its id, or a name that one node alone has",
    "listen": "Address and port to listen on. Loopback only, unless TLS is on.",
    "account_id": "Id of the first account. It counts at the first start only.",
    "region": "Region of the administrator's profile. Operators may use any other.",
    "tls_cert": "Certificate chain (PEM) of your own. Goes with `--tls-key`.",
    "tls_key": "Private key (PEM) of that certificate.",
}
"""For settings and options that the code does not describe, or not for a reader of this page."""


def settings_part() -> str:
    """A row per setting: option, environment, default, meaning."""
    meanings = _attribute_docstrings(Path(settings_module.__file__))
    helps = {a.dest: a.help for a in _actions("serve")}
    rows = []
    for name in _names():
        meaning = WORDS.get(name) or meanings.get(name) or helps.get(name)
        if not meaning:
            raise ValueError(f"the setting {name} has no description, in settings.py or here")
        option = next((a.option_strings[-1] for a in _actions("serve") if a.dest == name), "")
        variable = f"PATCHWRIGHT_{name.upper()}"
        rows.append((f"`{option}`", f"`{variable}`", f"`{_default(name)}`" if _default(name) else "none", meaning))
    return generated.table(("option", "environment", "default", "meaning"), rows)


def _names() -> list[str]:
    names = [f.name for f in fields(Settings)]
    # Host and port are one option.
    at = names.index("listen_host")
    return [*names[:at], "listen", *(n for n in names[at:] if n not in ("listen_host", "listen_port"))]


def _default(name: str) -> str:
    defaults = {f.name: f.default for f in fields(Settings)}
    if name == "listen":
        return f"{defaults['listen_host']}:{defaults['listen_port']}"
    if name == "data_dir":
        return "./var"
    value = defaults[name]
    if value is None or value is MISSING:
        return ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _attribute_docstrings(path: Path) -> dict[str, str]:
    """The text under each attribute of Settings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings")
    found = {}
    for before, after in pairwise(body):
        text = after.value if isinstance(after, ast.Expr) else None
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(text, ast.Constant):
            found[before.target.id] = " ".join(str(text.value).split())
    return found


def commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of `patchwright` and their parsers; a command of two words is one entry."""
    return _flat(parser(), "")


def _flat(top: argparse.ArgumentParser, prefix: str) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                deeper = _flat(below, f"{prefix}{name} ")
                found |= deeper or {f"{prefix}{name}": below}
    return found


def _actions(command: str) -> list[argparse.Action]:
    return [a for a in commands()[command]._actions if a.dest != "help"]


def cli_part() -> str:
    """A section per command with its options."""
    lines = []
    for name, below in sorted(commands().items()):
        shown = [a for a in below._actions if a.help != argparse.SUPPRESS and a.dest != "help"]
        rows = [(_option(a), _help(a)) for a in shown]
        lines += [f"### patchwright {name}", "", _summary(name, below), "", "```text", _usage(below), "```", ""]
        lines += [generated.table(("option", "meaning"), rows), ""] if rows else []
    return "\n".join(lines)


def _summary(name: str, below: argparse.ArgumentParser) -> str:
    text = below.description or ""
    if not text:
        words = name.split()
        top: argparse.ArgumentParser = parser()
        for word in words:
            group = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
            text = next((c.help or "" for c in group._choices_actions if c.dest == word), text)
            top = group.choices[word]
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _usage(below: argparse.ArgumentParser) -> str:
    """The usage in one line, whatever the terminal's width."""
    return re.sub(r"\s+", " ", below.format_usage()).removeprefix("usage: ").strip()


def _option(action: argparse.Action) -> str:
    names = ", ".join(f"`{o}`" for o in action.option_strings) or f"`{action.metavar or action.dest}`"
    choices = " " + ", ".join(f"`{c}`" for c in action.choices) if action.choices else ""
    return names + choices


def _help(action: argparse.Action) -> str:
    text = (
        action.help or WORDS.get(action.dest) or _attribute_docstrings(Path(settings_module.__file__)).get(action.dest)
    )
    if not text:
        raise ValueError(f"the option {action.dest} has no description, in its parser or here")
    return " ".join(text.replace("%%", "%").split())


def parts() -> dict[tuple[str, str], str]:
    """Everything that this tool writes."""
    return {(SETTINGS, "settings"): settings_part(), (CLI, "commands"): cli_part()}


if __name__ == "__main__":
    sys.exit(generated.run(parts()))
