"""A PostgreSQL of the benchmark's own: on a unix socket in a temporary folder, with the usual durable settings."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class PrivatePostgres:
    """Ends with the `with` block. `url` names its one database."""

    def __enter__(self) -> "PrivatePostgres":
        if not BINARIES:
            raise SystemExit("bench: PostgreSQL is missing: apt-get install postgresql")
        self._folder = Path(tempfile.mkdtemp(prefix="pw-bench-pg-", dir="/tmp"))
        as_user: list[str] = []
        if os.geteuid() == 0:
            self._folder.chmod(0o755)
            shutil.chown(self._folder, "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        run = [*as_user, "env", f"HOME={self._folder}"]
        data = self._folder / "d"
        init = [*run, BINARIES[0] / "initdb", "-A", "trust", "-U", "pw", "-D", data]
        subprocess.run(init, check=True, capture_output=True, cwd=self._folder)
        settings = ["listen_addresses=", "shared_buffers=512MB", "max_wal_size=2GB", "max_connections=100"]
        options = [word for setting in settings for word in ("-c", setting)]
        self._server = subprocess.Popen(
            [*run, BINARIES[0] / "postgres", "-D", data, "-k", self._folder, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder,
        )  # fmt: skip
        self.url = f"postgresql://pw@/postgres?host={self._folder}"
        ready = [BINARIES[0] / "pg_isready", "-h", self._folder, "-q"]
        for _ in range(200):
            if subprocess.run(ready, check=False).returncode == 0:
                return self
            time.sleep(0.05)
        raise SystemExit("bench: PostgreSQL did not start")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.terminate()
        self._server.wait(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)
