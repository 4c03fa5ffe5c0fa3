"""Our own agent as a process beside a server: enrolled, run, ended. Its reboot command is /bin/false.

agent = OwnAgent(folder, server.url, activation, ca_sha256)   # registered; state in folder/state
with agent.running(): agent.wait_said("the push channel is open")
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "agent" / "patchwright_agent"
OPEN, LOST = "the push channel is open", "the push channel is lost"
SECONDS = 30.0


class OwnAgent:
    """One enrolled agent; at most one process of it at a time."""

    def __init__(self, folder: Path, url: str, activation: dict[str, Any], ca_sha256: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None
        argv = [sys.executable, PACKAGE, "register", "--server", url, "--state-dir", self.state]
        argv += ["--activation-id", activation["ActivationId"], *(["--ca-sha256", ca_sha256] if ca_sha256 else [])]
        environment = {**os.environ, "PATCHWRIGHT_ACTIVATION_CODE": activation["ActivationCode"]}
        subprocess.run(argv, env=environment, check=True, capture_output=True)

    @contextlib.contextmanager
    def running(self) -> Iterator["OwnAgent"]:
        argv = [sys.executable, PACKAGE, "run", "--state-dir", self.state, "--reboot-command", "/bin/false"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        try:
            yield self
        finally:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            finally:
                self._process.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self, words: str) -> int:
        """How often its log has these words."""
        return self._text().count(words)

    def _text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_said(self, words: str, times: int = 1) -> None:
        deadline = time.monotonic() + SECONDS
        while self.said(words) < times:
            assert time.monotonic() < deadline, f"never said {words!r}:\n{self._text()}"
            time.sleep(0.02)
