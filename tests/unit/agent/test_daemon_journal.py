"""What the journal remembers after crashes, damage, full disks and years: the ground of exactly one result."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from patchwright_agent.daemon import journal as journal_module
from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.journal import Journal, JournalError, encode

RESULT = {"status": "Success", "code": 0, "endDateTime": "2030-01-02T03:04:05.678Z"}


class StoppedClock(Clock):
    def __init__(self, now: float = 1_000_000.0) -> None:
        super().__init__()
        self.value = now

    def now(self) -> float:
        return self.value


def receive(journal: Journal, command_id: str, payload: str = "{}") -> None:
    journal.append("received", command_id, message_id=f"aws.ssm.{command_id}.mi-1", name="Doc", payload=payload)


def finish(journal: Journal, command_id: str) -> None:
    receive(journal, command_id)
    journal.append("final", command_id, reply_id=f"reply-{command_id}", payload=f"final of {command_id}")
    journal.append("sent", command_id, reply_id=f"reply-{command_id}")
    journal.close_command(command_id)


def test_a_command_is_found_again_as_far_as_it_came(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "command-1", '{"token": "ümlaut"}')
    journal.append("acked", "command-1")
    journal.append("started", "command-1", step=0)
    journal.append("done", "command-1", step=0, name="first", reply_id="r0", result=RESULT)
    journal.append("sent", "command-1", reply_id="r0")
    journal.append("started", "command-1", step=1)
    journal.append("rebooting", "command-1", step=1, boot_id="boot-a")
    journal.close()
    state = Journal(str(tmp_path), StoppedClock()).commands["command-1"]
    assert state.payload == '{"token": "ümlaut"}'
    assert state.acked
    assert (state.results[0].name, state.results[0].reply_id, state.results[0].result) == ("first", "r0", RESULT)
    assert state.sent == {"r0"}
    assert (state.starts[1].first_at, state.starts[1].runs, state.starts[1].reboot_boot_id) == (
        1_000_000.0,
        1,
        "boot-a",
    )
    assert state.final is None


def test_a_started_record_after_a_reboot_ends_the_waiting_for_it(tmp_path: Path) -> None:
    clock = StoppedClock()
    journal = Journal(str(tmp_path), clock)
    receive(journal, "command-1")
    journal.append("started", "command-1", step=0)
    clock.value += 99
    journal.append("rebooting", "command-1", step=0, boot_id="boot-a")
    journal.append("started", "command-1", step=0)
    start = journal.commands["command-1"].starts[0]
    assert (start.runs, start.reboot_boot_id, start.first_at) == (2, "", 1_000_000.0)


def test_a_line_torn_at_any_byte_is_trimmed_and_the_rest_is_in_force(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "command-1")
    journal.close()
    path = tmp_path / "journal"
    whole = path.read_bytes()
    last = encode({"t": "acked", "id": "command-1", "at": 1_000_000.0})
    for length in range(1, len(last)):
        path.write_bytes(whole + last[:length])
        torn = Journal(str(tmp_path), StoppedClock())
        assert not torn.commands["command-1"].acked
        torn.append("cancelled", "command-1")  # what follows must not be glued to the torn piece
        torn.close()
        assert path.read_bytes() == whole + encode({"t": "cancelled", "id": "command-1", "at": 1_000_000.0})


def test_a_damaged_line_in_the_middle_loses_only_itself(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "command-1")
    receive(journal, "command-2")
    journal.append("acked", "command-2")
    journal.append("acked", "command-1")
    journal.close()
    path = tmp_path / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"Doc", b"Dog") + lines[2] + lines[3])
    repaired = Journal(str(tmp_path), StoppedClock())
    assert repaired.commands["command-1"].acked
    assert "command-2" not in repaired.commands
    assert repaired.is_known("command-2"), "its order is lost, but it must never run a second time"
    assert len(list(tmp_path.glob("journal.damaged-*"))) == 1
    repaired.close()
    again = Journal(str(tmp_path), StoppedClock(2_000_000.0))
    assert again.is_known("command-2")
    assert len(list(tmp_path.glob("journal.damaged-*"))) == 1, "the damage is set aside once"


@pytest.mark.parametrize("failing_call", ["write", "fsync"])
def test_a_write_that_fails_stops_the_work_and_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing_call: str
) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "command-1")
    before = (tmp_path / "journal").read_bytes()
    real_write = os.write

    def full_disk(descriptor: int, data: bytes = b"") -> int:
        if data:
            real_write(descriptor, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, failing_call, full_disk)
        with pytest.raises(JournalError, match="No space left on device"):
            journal.append("acked", "command-1")
    assert "journal write failed" in capsys.readouterr().err
    assert not journal.commands["command-1"].acked
    journal.close()
    assert (tmp_path / "journal").read_bytes() == before
    assert not Journal(str(tmp_path), StoppedClock()).commands["command-1"].acked


def test_closed_commands_are_known_after_a_restart_and_their_final_reply_can_be_sent_again(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    finish(journal, "command-1")
    journal.close()
    reopened = Journal(str(tmp_path), StoppedClock())
    assert reopened.commands == {}
    assert reopened.is_known("command-1")
    assert not reopened.is_known("command-2")
    assert reopened.stored_final("command-1") == ("reply-command-1", "final of command-1")
    assert reopened.stored_final("command-2") is None


def test_compaction_keeps_open_commands_whole_and_closed_ones_by_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_BYTES", 2000)
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "open-command")
    journal.append("done", "open-command", step=0, name="first", reply_id="r0", result=RESULT)
    for number in range(60):
        journal.append("started", "open-command", step=1)
        finish(journal, f"command-{number}")
    assert (tmp_path / "journal").stat().st_size < 60 * 500
    journal.append("acked", "open-command")
    journal.close()
    reopened = Journal(str(tmp_path), StoppedClock())
    state = reopened.commands["open-command"]
    assert (state.acked, state.starts[1].runs, state.results[0].reply_id) == (True, 60, "r0")
    assert all(reopened.is_known(f"command-{number}") for number in range(60))
    assert reopened.stored_final("command-59") == ("reply-command-59", "final of command-59")


def test_ids_are_forgotten_after_thirty_days_and_not_before(tmp_path: Path) -> None:
    clock = StoppedClock()
    journal = Journal(str(tmp_path), clock)
    finish(journal, "command-1")
    journal.close()
    day = 86400.0
    assert Journal(str(tmp_path), StoppedClock(clock.value + 29 * day)).is_known("command-1")
    late = Journal(str(tmp_path), StoppedClock(clock.value + 31 * day))
    assert not late.is_known("command-1")


def test_at_most_ten_thousand_ids_are_kept_the_newest(tmp_path: Path) -> None:
    lines = [encode({"t": "closed", "id": f"command-{n}", "at": 900_000.0 + n}) for n in range(10_050)]
    (tmp_path / "journal").write_bytes(b"".join(lines))
    journal = Journal(str(tmp_path), StoppedClock())
    assert not journal.is_known("command-49")
    assert journal.is_known("command-50")
    assert journal.is_known("command-10049")


def test_records_of_another_version_are_seen_but_not_continued(tmp_path: Path) -> None:
    strange: list[dict[str, Any]] = [
        {"t": "received", "id": "command-1", "at": 1.0},
        {"t": "acked", "id": "command-1", "at": 2.0},
    ]
    (tmp_path / "journal").write_bytes(b"".join(encode(record) for record in strange))
    journal = Journal(str(tmp_path), StoppedClock())
    assert journal.commands == {}
    assert journal.is_known("command-1")


def test_the_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), StoppedClock())
    receive(journal, "command-1", '{"environment": {"PATCHWRIGHT_TOKEN": "secret"}}')
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
