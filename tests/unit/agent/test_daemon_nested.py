"""aws:runDocument, and documents in files. Sources: spec/operations.md 2.3; spec/agent-protocol.md 10."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_lab import Wire, mark, ran, run
from daemon_lab import order, shell

from patchwright_agent.daemon import nested


def nests(path: str, name: str = "nest", kind: str = "SSMDocument", **inputs: Any) -> dict[str, Any]:
    inputs = {"documentType": kind, "documentPath": path, **inputs}
    return {"action": "aws:runDocument", "name": name, "inputs": inputs}


def document(*steps: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    return {"schemaVersion": "2.2", "parameters": definitions, "mainSteps": list(steps)}


def result(wire: Wire, name: str = "nest") -> tuple[str, int, str, str]:
    step = wire.steps[name]
    return step["status"], step["code"], step["standardOutput"], step["standardError"]


def test_a_nested_document_runs_with_its_own_parameters(tmp_path: Path) -> None:
    wire = Wire()
    wire.documents["inner", "2"] = document(
        shell("echo '{{ word }} {{ outer }}'", "say"),
        {"action": "aws:runShellScript", "name": "many", "inputs": {"runCommand": "{{ lines }}"}},
        word={"type": "String"},
        lines={"type": "StringList"},
    )
    given = {"word": ["hi"], "lines": ["echo a", "echo b"]}
    run(wire, tmp_path, order([nests("inner:2", documentParameters=given), shell(mark(tmp_path, "after"), "after")]))
    assert result(wire) == ("Success", 0, "hi {{ outer }}\na\nb\n", "")
    assert ran(tmp_path) == ["after"]
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Success"]


@pytest.mark.parametrize(
    ("steps", "status", "code", "words"),
    [
        ([shell("exit 3", "a"), shell("echo on", "b")], "Failed", 3, "on"),
        ([shell("exit 3", "a", onFailure="exit"), shell("echo on", "b")], "Failed", 3, "an earlier step asked to exit"),
        ([shell("exit 3", "a", onFailure="successAndExit"), shell("echo on", "b")], "Success", 0, "asked to exit"),
        ([shell("exit 168", "a"), shell("echo on", "b")], "Success", 0, "asked to exit"),
        ([shell("exit 194", "a")], "Failed", 194, ""),
        ([{"action": "aws:unheardOf", "name": "a"}], "Failed", 1, ""),
        ([{**shell("x", "a"), "precondition": {"StringEquals": ["platformType", "Windows"]}}], "Success", 0, "not met"),
    ],
)
def test_how_a_nested_document_ends(
    tmp_path: Path, steps: list[dict[str, Any]], status: str, code: int, words: str
) -> None:
    wire = Wire()
    wire.documents["inner", ""] = document(*steps)
    run(wire, tmp_path, order([nests("inner")]))
    got = result(wire)
    assert got[:2] == (status, code)
    assert words in got[2]
    assert len(wire.finals) == 1
    if code == 194:
        assert nested.REBOOT in got[3]


def test_documents_nest_three_deep_and_no_deeper(tmp_path: Path) -> None:
    wire = Wire()
    wire.documents["first", ""] = document(nests("second"))
    wire.documents["second", ""] = document(nests("third"), shell("echo two", "two"))
    wire.documents["third", ""] = document(shell(mark(tmp_path, "never"), "three"))
    run(wire, tmp_path, order([nests("first")]))
    status, code, out, err = result(wire)
    assert (status, code, out, ran(tmp_path)) == ("Failed", 1, "two\n", [])
    assert "nest more than 3 deep" in err


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (nests("never-made"), "was not given"),
        (nests("../../etc/passwd"), "not a document's name"),
        (nests("inner", kind="Word"), "neither SSMDocument nor LocalPath"),
        (nests("inner", documentParameters="{"), "not JSON"),
        (nests("inner", documentParameters={"other": "x"}), "no parameter other"),
        (nests("inner"), "parameter word has no value"),
        (nests("inner", documentParameters={"word": "B"}), "allowedPattern"),
        (nests("text"), "not JSON"),
        (nests("none.json", kind="LocalPath"), "No such file"),
    ],
)
def test_what_is_not_run(tmp_path: Path, inputs: dict[str, Any], reason: str) -> None:
    wire = Wire()
    word = {"type": "String", "allowedPattern": "^[a-z]+$"}
    wire.documents["inner", ""] = document(shell(mark(tmp_path, "inner"), "a"), word=word)
    wire.documents["text", ""] = "schemaVersion: '2.2'"
    run(wire, tmp_path, order([inputs]))
    status, code, _, err = result(wire)
    assert (status, code, ran(tmp_path)) == ("Failed", 1, [])
    assert reason.replace("word", "'word'") in err or reason in err


def test_a_server_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "PAUSE_SECONDS", 0.01)
    wire = Wire()
    wire.documents["inner", ""] = document(shell("echo in", "a"))
    calls = []
    asked = wire.get_document

    def get(name: str, version: str) -> dict[str, Any]:
        calls.append(name)
        wire.is_down = lambda: len(calls) < 3
        return asked(name, version)

    wire.get_document = get  # type: ignore[method-assign]
    run(wire, tmp_path, order([nests("inner")]))
    assert (result(wire)[2], len(calls)) == ("in\n", 3)


def test_a_document_is_downloaded_and_run_where_it_is(tmp_path: Path) -> None:
    """AWS-RunDocument's two steps."""
    wire = Wire()
    wire.documents["inner", ""] = document(shell("pwd; ls", "a"))
    source = {"sourceType": "SSMDocument", "sourceInfo": json.dumps({"name": "inner"})}
    fetches = {"action": "aws:downloadContent", "name": "fetch", "inputs": source}
    run(wire, tmp_path, order([fetches, nests(".", kind="LocalPath")]))
    folder, file = result(wire)[2].split()
    assert (Path(folder).name, file) == ("downloads", "inner.json")
    assert result(wire, "fetch")[:2] == ("Success", 0)


def test_a_patch_documents_hook_is_not_run_again_after_a_crash_but_its_worker_is() -> None:
    from patchwright_agent.daemon.documents import parse_order

    hooked = parse_order(
        json.dumps(order([shell("x", "Scan"), nests("hook", "Hook")], name="AWS-RunPatchBaselineWithHooks"))
    )
    assert [hooked.is_patch_step(step) for step in hooked.steps] == [True, False]
