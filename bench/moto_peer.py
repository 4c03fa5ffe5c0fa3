"""The peer of the API's figures: `moto_server` in an environment of its own, on loopback.

It keeps everything in memory and checks no signature; a call is compared with the same call, sent in the same way.
"""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from bench.lab import ROOT

VERSION = "5.2.5"
FOLDER = ROOT / ".cache" / "peers" / f"moto-{VERSION}"


class MotoPeer:
    """Ends with the `with` block. Raises CalledProcessError when it can't be installed."""

    def __enter__(self) -> "MotoPeer":
        program = FOLDER / "bin" / "moto_server"
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
            pip = [FOLDER / "bin" / "pip", "install", "--quiet", f"moto[server]=={VERSION}"]
            subprocess.run(pip, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [program, "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path("/"),
        )  # fmt: skip
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=1):
                    return self
            except OSError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise TimeoutError("moto_server did not start")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
