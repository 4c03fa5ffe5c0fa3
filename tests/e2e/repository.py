"""Small signed apt repositories, built in a fraction of a second and served on the lab's network.

    repository = AptRepository(folder, key, url)             # the fixture make_repository does this, and serves it
    repository.add("stable", Deb("tb-lib", "1.0-1"))         # several versions, several suites
    repository.add("stable-security", Deb("tb-lib", "1.0-1+deb12u1", section="libs", source="tb (1.0)"))
    repository.publish(date=datetime(2026, 1, 2, tzinfo=UTC))  # indexes and signed Release files; again after each add
    repository.enable(root, "stable", "stable-security")     # key and source file in a host; it still has to update
    repository.enable(root, "stable", signed=False)          # refuses the signature: apt then trusts nothing of it
    repository.install(root, Deb("local-tool", "3.1"))       # a local package, by dpkg alone, in no repository

Suites are named in the Release files as they are here; a suite whose name contains `security` is a security archive.
"""

import functools
import http.server
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.roots import CannotRun, Root

TOOLS = ("dpkg-deb", "apt-ftparchive", "gpg")
DEFAULT_DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Deb:
    """A package to build: maintainer scripts by name, files' contents by path, further fields of its control file."""

    name: str
    version: str
    arch: str = "all"
    section: str = "misc"
    priority: str = "optional"
    source: str = ""
    depends: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def control(self) -> str:
        values = {
            "Package": self.name, "Version": self.version, "Architecture": self.arch, "Section": self.section,
            "Priority": self.priority, "Source": self.source, "Depends": self.depends,
            "Maintainer": "Test Lab <lab@example.invalid>", "Description": f"test package {self.name}", **self.fields,
        }  # fmt: skip
        return "".join(f"{name}: {value}\n" for name, value in values.items() if value)

    def build(self, folder: Path) -> Path:
        """Build the package into `folder`; the path of the .deb."""
        tree = folder / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(self.control())
        for name, script in self.scripts.items():
            (tree / "DEBIAN" / name).write_text(script)
            (tree / "DEBIAN" / name).chmod(0o755)
        for path, content in self.files.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        deb = folder / f"{self.name}_{self.version.replace(':', '%3a')}_{self.arch}.deb"
        _run("dpkg-deb", "-Znone", "--root-owner-group", "-b", str(tree), str(deb))
        shutil.rmtree(tree)
        return deb


class SigningKey:
    """An ed25519 key in a keyring of its own; `public` is the key as apt's signed-by wants it."""

    def __init__(self, folder: Path) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise CannotRun(f"missing {', '.join(missing)}: apt-get install dpkg-dev apt-utils gpg")
        folder.mkdir(mode=0o700, parents=True)
        self._home = folder
        self._gpg("--passphrase", "", "--quick-gen-key", "Test Lab", "ed25519", "sign", "never")
        self.public = self._gpg("--export")

    def clear_sign(self, path: Path, output: Path) -> None:
        self._gpg("--yes", "--clearsign", "-o", str(output), str(path))

    def close(self) -> None:
        """End the agent that gpg left running."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=False, capture_output=True)

    def _gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--quiet", "--no-tty", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


class AptRepository:
    """A repository at `url`, whose files are in `folder`."""

    def __init__(self, folder: Path, key: SigningKey, url: str, name: str = "lab", origin: str = "Lab") -> None:
        self.name, self.origin, self.url = name, origin, url
        self.folder = folder
        self._key = key
        self._suites: set[str] = set()
        self._built = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, suite: str, *debs: Deb) -> None:
        """Put packages into a suite; `publish` makes them visible."""
        self._suites.add(suite)
        for deb in debs:
            self._built += 1  # an own folder each: equal versions may differ in content
            folder = self.folder / "pool" / suite / str(self._built)
            folder.mkdir(parents=True)
            deb.build(folder)

    def remove(self, suite: str, name: str, version: str) -> None:
        """Take a version out of a suite, as archives do with superseded ones."""
        for path in (self.folder / "pool" / suite).glob(f"*/{name}_{version.replace(':', '%3a')}_*.deb"):
            path.unlink()

    def publish(self, date: datetime | Mapping[str, datetime] = DEFAULT_DATE) -> None:
        """Write the indexes and signed Release files; `date` is the Release date, of all suites or by suite."""
        for suite in sorted(self._suites):
            released = date if isinstance(date, datetime) else date.get(suite, DEFAULT_DATE)
            self._publish_suite(suite, released)

    def _publish_suite(self, suite: str, released: datetime) -> None:
        dist = self.folder / "dists" / suite
        shutil.rmtree(dist, ignore_errors=True)
        binary = dist / "main" / "binary-amd64"
        binary.mkdir(parents=True)
        pool = self.folder / "pool" / suite
        pool.mkdir(parents=True, exist_ok=True)
        (binary / "Packages").write_text(_run("apt-ftparchive", "packages", f"pool/{suite}", cwd=self.folder))
        fields = {
            "Origin": self.origin, "Label": self.origin, "Suite": suite, "Codename": suite,
            "Architectures": "amd64 all", "Components": "main",
        }  # fmt: skip
        options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in fields.items()]
        text = _run("apt-ftparchive", *options, "release", str(dist))
        date = released.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
        lines = [f"Date: {date}" if line.startswith("Date:") else line for line in text.split("\n")]
        (dist / "Release").write_text("\n".join(lines))
        self._key.clear_sign(dist / "Release", dist / "InRelease")

    def enable(self, root: Root, *suites: str, signed: bool = True) -> None:
        """Write the source file and the key into a host. With `signed` False, apt is told to accept it untrusted."""
        keyring = f"/etc/apt/keyrings/{self.name}.gpg"
        option = f"signed-by={keyring}" if signed else "allow-insecure=yes"
        if signed:
            root.write(keyring, self._key.public)
        lines = [f"deb [{option}] {self.url} {suite} main\n" for suite in suites]
        root.write(f"/etc/apt/sources.list.d/{self.name}.list", "".join(lines))

    def install(self, root: Root, deb: Deb) -> None:
        """Install a package on a host by dpkg alone."""
        folder = self.folder / "local" / f"{deb.name}-{deb.version}"
        folder.mkdir(parents=True, exist_ok=True)
        path = deb.build(folder)
        root.write(f"/var/tmp/{path.name}", path.read_bytes())
        root.run(["dpkg", "-i", f"/var/tmp/{path.name}"])


class FileServer:
    """Serves a folder by HTTP, or by TLS, on one address, from a thread; `requests` lists the paths asked for.

    `before` is called with the path of each request that is about to be answered.
    """

    def __init__(self, folder: Path, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.before: Callable[[str], None] | None = None
        handler = functools.partial(_QuietHandler, self, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((address, 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, owner: FileServer, *arguments: object, directory: str) -> None:
        self._owner = owner
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self._owner.before is not None:
            self._owner.before(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        self._owner.requests.append(self.path)


def _run(*argv: str, cwd: Path | None = None) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=cwd).stdout
