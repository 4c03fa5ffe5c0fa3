"""dnf's own lock is a file with a process number, which outlives a dnf that was killed."""

import os
import subprocess
import sys
from pathlib import Path

from patchwright_agent.managers.dnf import pid_file_holder


def test_a_process_that_runs_holds_the_lock_and_a_dead_one_does_not(tmp_path: Path) -> None:
    lock = tmp_path / "rpmdb_lock.pid"
    assert pid_file_holder(str(lock)) is None
    lock.write_text(str(os.getpid()))
    assert pid_file_holder(str(lock)) is not None
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not asked after yet
        lock.write_text(str(child.pid))
        assert pid_file_holder(str(lock)) is None
