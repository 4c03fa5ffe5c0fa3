"""Imports go one way, those inside functions too. Source: design, "Layers: arrows go one way"."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "patchwright"
AGENT = ROOT / "agent" / "patchwright_agent"

# Rooms from the ground up. A room imports from rooms of lower floors only, and from itself.
FLOORS = (
    {"core"},
    {"store"},
    {"wire", "flows"},
    {"client", "api", "gateway", "loops"},
    {"console", "server"},
    {"cli"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# These could go up in the house by their floor, but must be usable without it.
SELF_CONTAINED = {"core", "wire"}


def imported(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """(line, module) for every import of `package` in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            if module.split(".")[0] == package:
                # `from patchwright import store` names a room too.
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str:
    """`patchwright.store.nodes` -> `store`; "" for the package itself, such as its version."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else ""


def violations(path: Path, room: str) -> list[str]:
    """Imports that the picture forbids to a file of `room`."""
    found = []
    for line, module in imported(path, "patchwright"):
        other = room_of(module)
        if other == room or (not other and room not in SELF_CONTAINED):
            continue
        if room in SELF_CONTAINED or FLOOR_OF[other] >= FLOOR_OF[room]:
            found.append(f"{room}/{path.name}:{line} imports {module}")
    return found


@pytest.mark.parametrize("room", sorted(FLOOR_OF))
def test_a_room_imports_only_from_below(room: str) -> None:
    found = [line for path in sorted((SOURCE / room).rglob("*.py")) for line in violations(path, room)]
    assert not found, "\n".join(found)


def test_every_room_is_in_the_picture() -> None:
    rooms = {path.parent.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py") if path.parent != SOURCE}
    assert rooms <= set(FLOOR_OF), f"new rooms need a floor: {rooms - set(FLOOR_OF)}"


def test_agent_and_server_import_nothing_of_each_other() -> None:
    found = [(path, line) for path in AGENT.rglob("*.py") for line in imported(path, "patchwright")]
    found += [(path, line) for path in SOURCE.rglob("*.py") for line in imported(path, "patchwright_agent")]
    assert not found


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("core", "from patchwright.store import nodes\n"),
        ("core", "from patchwright import __version__\n"),
        ("store", "def late():\n    from patchwright.flows import send_command\n"),
        ("api", "import patchwright.gateway.messages\n"),
        ("wire", "from patchwright import core\n"),
        ("flows", "from patchwright.wire.errors import WireError\n"),
    ],
)
def test_a_forbidden_import_is_noticed(room: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert len(violations(path, room)) == 1
