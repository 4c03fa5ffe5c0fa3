"""Children: no shell, no secrets, bounded time and output, and nothing of them is left behind."""

import os
import sys
import time
from pathlib import Path

import pytest

from patchwright_agent import run
from patchwright_agent.worker import arguments

PYTHON = sys.executable


def test_outputs_and_exit_code_come_back() -> None:
    done = run.run([PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"], 20)
    assert (done.returncode, done.text, done.error_text, done.succeeded) == (3, "out\n", "err\n", False)


def test_arguments_are_never_read_by_a_shell() -> None:
    assert run.run(["echo", "$HOME; `id` && *"], 20).text == "$HOME; `id` && *\n"


def test_the_environment_is_small_and_speaks_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    lines = run.run(["env"], 20).text.split()
    assert {"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "http_proxy=http://proxy:3128"} <= set(lines)
    assert not [line for line in lines if "AWS" in line or "de_DE" in line]


def test_a_time_limit_ends_the_whole_process_group(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; sleep 60"
    began = time.monotonic()
    done = run.run(["sh", "-c", script], 0.3)
    assert done.timed_out
    assert not done.succeeded
    assert time.monotonic() - began < 10
    grandchild = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    deadline = time.monotonic() + 5
    while grandchild.exists() and grandchild.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        os.sched_yield()
    assert not grandchild.exists() or grandchild.read_text().split()[2] == "Z"


def test_an_output_limit_ends_the_child() -> None:
    done = run.run(["yes"], 20, max_bytes=100_000)
    assert done.overflowed
    assert not done.succeeded
    assert len(done.stdout) <= 100_000


def test_a_program_that_is_not_there_is_an_outcome_not_a_crash() -> None:
    done = run.run(["/no/such/program"], 20)
    assert (done.returncode, done.succeeded) == (run.RETURN_CODE_NOT_STARTED, False)
    assert "/no/such/program" in done.error_text


def test_children_run_at_the_same_time() -> None:
    began = time.monotonic()
    children = [run.start(["sleep", "0.4"], 20) for _ in range(4)]
    assert all(child.wait().succeeded for child in children)
    assert time.monotonic() - began < 1.4


def test_a_sink_gets_the_output_and_its_failure_is_not_lost() -> None:
    pieces: list[bytes] = []
    assert run.start(["echo", "streamed"], 20, sink=pieces.append).wait().stdout == b""
    assert b"".join(pieces) == b"streamed\n"

    def fail(_: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        run.start(["yes"], 20, sink=fail).wait()


@pytest.mark.parametrize("flags", [[], ["--refresh"], ["--no-refresh"], ["--pretty"]])
def test_the_common_command_lines_of_facts_mean_what_argparse_reads_in_them(flags: list[str]) -> None:
    told = arguments.read(["facts", *flags])
    assert told == arguments.read(["facts", "--index-dir", "", *flags])
    assert [told.refresh, told.no_refresh, told.pretty] == [
        f in flags for f in ("--refresh", "--no-refresh", "--pretty")
    ]


def test_flags_that_exclude_one_another_are_wrong_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        arguments.read(["facts", "--refresh", "--no-refresh"])
    assert ended.value.code == 64
