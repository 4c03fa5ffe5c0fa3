"""The agent's zipapp on a real root: registered, run, ended and killed.

    agent = Agent(root, zipapp, log_folder)                          # copied in; state in the usual folder
    agent.register(server.url, activation, pin=pin)                  # the node id, also agent.node_id
    agent.start("--scan-only"); agent.kill(); agent.start(); agent.stop()

`activation` is what CreateActivation answered; `environment` of the constructor is added to what the agent finds.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.roots import REPOSITORY_ROOT, Root

PROGRAM = "/usr/local/bin/patchwright-agent.pyz"
STATE_DIR = "/var/lib/patchwright-agent"
STOP_SECONDS = 15.0


# Pauses after something went wrong, in seconds: what tests would wait for again and again. Each is in the source so.
_PAUSES = {
    "daemon/loop.py": {
        "RESEND_BASE_SECONDS, RESEND_CAP_SECONDS = 5.0, 300.0": "RESEND_BASE_SECONDS, RESEND_CAP_SECONDS = 0.5, 5.0",
        "RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 1.0, 120.0": "RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 0.1, 2.0",
        "QUICK_PAUSE_SECONDS = 2.0": "QUICK_PAUSE_SECONDS = 0.2",
    },
}


def build_zipapp(target: Path) -> Path:
    """Build the agent as `make dist` does; the path of the zipapp."""
    subprocess.run(
        [sys.executable, REPOSITORY_ROOT / "tools" / "build_agent.py", target], check=True, capture_output=True
    )
    return target


def build_impatient_zipapp(target: Path) -> Path:
    """The agent with pauses after an error of a tenth or less, for tests that kill servers by the dozen.

    It is not what is shipped: how long the real one waits is the subject of tests/unit/agent/test_daemon_process.py.
    """
    build_zipapp(target)
    changed = target.with_suffix(".impatient")
    with zipfile.ZipFile(target) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            text = source.read(name).decode()
            for pause, shorter in _PAUSES.get(name.removeprefix("patchwright_agent/"), {}).items():
                assert text.count(pause) == 1, f"{name} has no {pause!r} any more"
                text = text.replace(pause, shorter)
            copy.writestr(name, text)
    changed.replace(target)
    return target


class Agent:
    """One identity on one host. `log` is all that its daemon has said, over restarts."""

    def __init__(
        self,
        root: Root,
        zipapp: Path,
        log_folder: Path,
        state_dir: str = STATE_DIR,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        # By env, in the host: what is preloaded there is not there for the program that enters it.
        self._python = ["env", *(f"{name}={value}" for name, value in (environment or {}).items()), "python3"]
        self.node_id = ""
        self._log_file = log_folder / f"{root.name}{state_dir.replace('/', '-')}.log"
        self._log_file.touch()
        self._options: tuple[str, ...] = ()
        self._process: subprocess.Popen[str] | None = None
        root.write(PROGRAM, zipapp.read_bytes(), 0o755)

    def try_register(self, url: str, activation: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        """Run `register`; the code goes by the environment, where no other user sees it."""
        argv = [*self._python, PROGRAM, "register", "--server", url, "--activation-id", activation["ActivationId"]]
        return self.root.run(
            [*argv, "--state-dir", self.state_dir, *options],
            env={"PATCHWRIGHT_ACTIVATION_CODE": activation["ActivationCode"]},
            check=False,
        )

    def register(self, url: str, activation: Mapping[str, str], pin: str = "") -> str:
        """Register, trusting the authority that has this SHA-256 (or, without one, plain HTTP); the node id."""
        done = self.try_register(url, activation, *(("--ca-sha256", pin) if pin else ("--insecure-http",)))
        assert done.returncode == 0, done.stderr
        self.node_id = done.stdout.strip()
        return self.node_id

    def start(self, *options: str) -> None:
        """Run the daemon, with the options of the last start if none are given."""
        self._options = options or self._options
        # No test asks for a reboot; if one did by mistake, nothing may shut down.
        argv = [
            *self._python,
            PROGRAM,
            "run",
            "--state-dir",
            self.state_dir,
            "--reboot-command",
            "true",
            *self._options,
        ]
        with self._log_file.open("ab") as log:
            self._process = self.root.popen(argv, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9 of the daemon alone: the steps that it started live on, as they do on a host."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while not children.read_text() and self._process.poll() is None:
                time.sleep(0.01)  # it has only just begun: the daemon is yet to come
            for child in children.read_text().split():
                os.kill(int(child), number)
        self._process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        self._process = None
