"""Commands of the command line, run in this process against a server of the tests."""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from patchwright.cli.main import main
from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet
from tests.contract.scripted_nodes import Script, ScriptedNode


class Terminal(io.StringIO):
    """What a person types, or looks at."""

    def isatty(self) -> bool:
        return True


class Typing(Terminal):
    """A person who does something when asked; `at_prompt` is called then, and may raise."""

    def __init__(self, at_prompt: Callable[[], str]) -> None:
        super().__init__()
        self._at_prompt = at_prompt

    def readline(self, size: int | None = -1, /) -> str:  # noqa: ARG002 - the base class has it
        return self._at_prompt()


@dataclass(frozen=True)
class Printed:
    """How a command ended and what it printed."""

    code: object
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs commands on the fleet's server and region. Without `typed` there is no terminal."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet = fleet
        self._patch = monkeypatch
        self.nodes: list[ScriptedNode] = []

    def script(self, name: str, script: Script, commands: int, **tags: str) -> ScriptedNode:
        """A new node that carries out so many commands."""
        return self.carry_out(self.fleet.node(name=name, **tags), script, commands)

    def carry_out(self, node: Node, script: Script, commands: int) -> ScriptedNode:
        """The node, in a thread of its own; it must have done them all when the test ends."""
        self.nodes.append(ScriptedNode(node, script, commands))
        return self.nodes[-1]

    def __call__(self, *words: str, typed: str | io.StringIO | None = None) -> Printed:
        stdin = typed if isinstance(typed, io.StringIO) else Terminal(typed) if typed is not None else io.StringIO()
        self._patch.setattr(sys, "stdin", stdin)
        where = ["--data-dir", str(self.fleet.server.data_dir), "--region", self.fleet.region]
        if words[0] in ("plan", "patch", "scan") and "--timeout" not in words:
            where += ["--timeout", "30"]  # a node that does not do as the test expects must not stop it
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: object = main([*words, *where])
            except SystemExit as ended:
                code = ended.code
        return Printed(code, out.getvalue(), err.getvalue())

    def sent(self) -> list[str]:
        """The documents of all commands of this region, oldest first."""
        return [c["DocumentName"] for c in reversed(self.fleet.ssm.list_commands()["Commands"])]
