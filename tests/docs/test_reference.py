"""The reference has an entry for everything, and its generated parts are what the code says today."""

import re
import tomllib
from pathlib import Path

import pytest
from tools import docs, generated, performance_table, settings_reference

from patchwright.api.registry import registry
from patchwright.cli import exits
from patchwright.core.exit_codes import ExitCode
from patchwright.core.judgement import ReasonCode
from patchwright.gateway.context import doors
from patchwright.server.telemetry import Telemetry
from tests.docs.pages import ROOT, text_of

# Figures are of the machine that measured them last: the page keeps those that somebody chose to commit.
_PARTS = {part: text for part, text in docs.parts().items() if part[0] != performance_table.PAGE}


@pytest.mark.parametrize("part", sorted(_PARTS), ids="-".join)
def test_a_generated_part_is_not_stale(part: tuple[str, str]) -> None:
    path, name = part
    text = text_of(path)
    assert generated.replaced(text, name, _PARTS[part]) == text, f"{path}: {name} is stale: make docs"


def test_every_operation_has_an_entry() -> None:
    page = text_of("docs/reference/operations.md")
    missing = [key for key in registry.entries if f"| `{key}` |" not in page]
    missing += [target for target in doors if f"| `{target}` |" not in page]
    assert not missing


def test_every_operation_is_in_the_readme() -> None:
    page = text_of("README.md")
    assert not [e.operation for e in registry.entries.values() if f"`{e.operation}`" not in page]


def test_every_setting_has_an_entry() -> None:
    page = text_of("docs/reference/settings.md")
    for name in settings_reference._names():
        assert f"`PATCHWRIGHT_{name.upper()}`" in page
        assert f"`--{name.replace('_', '-')}`" in page


def test_every_variable_that_the_server_reads_is_named() -> None:
    """A variable read somewhere in the server and named nowhere is one that nobody can find."""
    pages = "".join(text_of(f"docs/reference/{p}.md") for p in ("settings", "cli"))
    for file in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"""["'](PATCHWRIGHT_[A-Z_]+[A-Z])["']""", file.read_text(encoding="utf-8")):
            assert name in pages or name == "PATCHWRIGHT_TOKEN", f"{file.name} reads {name}"


def test_every_command_has_an_entry() -> None:
    page = text_of("docs/reference/cli.md")
    assert not [name for name in settings_reference.commands() if f"### patchwright {name}\n" not in page]


def test_every_option_of_the_agent_has_an_entry() -> None:
    page = text_of("docs/reference/cli.md")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "agent").rglob("*.py"))
    options = set(re.findall(r'add_argument\(\s*"(--[a-z0-9-]+)"', source))
    assert options and not [o for o in options if f"| `{o}`" not in page]


def test_every_exit_code_has_an_entry() -> None:
    page = text_of("docs/reference/exit-codes.md")
    assert not [c for c in ExitCode if f"| {c.value} | `{c.name}` |" not in page]
    ours = page.partition("## patchwright-agent.pyz")[0]
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == {int(code) for code in re.findall(r"^\| (\d+) \|", ours, re.MULTILINE)}


def test_every_exit_code_of_the_worker_has_an_entry() -> None:
    page = text_of("docs/reference/exit-codes.md")
    source = (ROOT / "agent/patchwright_agent/worker/report.py").read_text(encoding="utf-8")
    for code in re.findall(r"^EXIT_\w+ = (\d+)", source, re.MULTILINE):
        assert re.search(rf"\| {code} \|", page), f"the worker ends with {code}"


def test_every_reason_code_has_an_entry() -> None:
    page = text_of("docs/reference/reason-codes.md")
    assert not [code for code in ReasonCode if f"| `{code}` |" not in page]


def test_every_problem_of_a_node_has_an_entry() -> None:
    page = text_of("docs/reference/reason-codes.md")
    source = (ROOT / "agent/patchwright_agent/managers/model.py").read_text(encoding="utf-8")
    codes = re.findall(r'^([A-Z_]+) = "\1"', source, re.MULTILINE)
    assert codes and not [c for c in codes if f"| `{c}` |" not in page]


def test_every_metric_has_an_entry() -> None:
    telemetry = Telemetry()
    telemetry.called("GetPatchBaseline", "OK", 0.01)
    app = (ROOT / "src/patchwright/server/app.py").read_text(encoding="utf-8")
    gauges = re.findall(r'"(patchwright_[a-z_]+)": float', app)
    named = re.findall(r"^# TYPE (\S+)", telemetry.exposition(dict.fromkeys(gauges, 0.0)), re.MULTILINE)
    page = text_of("docs/reference/metrics.md")
    assert len(named) >= 3 and not [n for n in named if f"| `{n}` |" not in page]


def test_every_table_of_the_store_has_an_entry() -> None:
    from patchwright.store.tables import metadata

    page = text_of("docs/architecture.md")
    section = page.partition("## The store")[2].partition("### Group commit")[0]
    assert not [name for name in metadata.tables if f"`{name}`" not in section]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = text_of("docs/decisions/0006-dependencies.md")
    runtime, development = page.split("Development:")
    for wanted, section in ((project["dependencies"], runtime), (project["optional-dependencies"]["dev"], development)):
        names = {re.split(r"[\[<>=~! ]", d)[0] for d in wanted}
        assert names == set(re.findall(r"^\| ([a-z][a-z0-9-]+) \|", section, re.MULTILINE)) - {"package"}


def test_make_run_is_what_the_pages_run() -> None:
    """The pages' tests run `patchwright up` where a page says `make run`: it must be that."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    body = re.search(r"^run:.*\n((?:\t.*\n)+)", recipe, re.MULTILINE)
    assert body is not None and re.search(r"patchwright up .*\$\(ARGS\)", body[1])


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z-]+)", text_of("CONTRIBUTING.md")))))
def test_a_target_of_make_exists(target: str) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", recipe, re.MULTILINE)


def test_performance_is_rendered_from_results() -> None:
    result = {
        "name": "scan",
        "what": "a scan",
        "value": 0.91234,
        "unit": "s",
        "limit": 1.2,
        "peer": "apt-get",
        "peer_value": 0.8,
        "ratio": 1.14,
        "date": "2026-11-20",
        "machine": "2 cores",
    }
    text = performance_table.rendered([result])
    assert "| `scan` | a scan | 0.912 s | 1.2 s | apt-get: 0.8 s | 1.14 | 2026-11-20 |" in text
    assert "- 2 cores" in text
    assert performance_table.rendered([{**result, "peer": "", "peer_value": None, "ratio": None, "limit": None}])
    assert performance_table.rendered([]) == performance_table.NONE_YET


def test_markers_must_be_there(tmp_path: Path) -> None:
    begin, end = generated.marked("x")
    assert generated.replaced(f"a\n{begin}\nold\n{end}\nb", "x", "new") == f"a\n{begin}\n\nnew\n\n{end}\nb"
    with pytest.raises(ValueError, match="once each"):
        generated.replaced("nothing", "x", "new")
