"""The worker that comes through the document: fetched, checked by hash and signature, kept, replaced, removed.

The step's own script runs here, by sh, with what a delivered copy has in its environment.
"""

import fcntl
import hashlib
import http.server
import io
import json
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.worker_script import worker_environment
from patchwright.server.artefact_key import sign
from patchwright.server.tls import TlsFiles, ca_sha256, ensure

SAYS = b"import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
SECRET = "pwr1.secret"
STEP = next(s for s in BUILTIN["AWS-RunPatchBaseline"].content["mainSteps"] if s["name"] == "PatchLinux")
REMOVE = BUILTIN["Patchwright-RemoveWorker"].content["mainSteps"][0]


@cache
def key(number: int = 1) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def artifact(main: bytes = SAYS) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), main)  # its date is fixed, so that the bytes are
    return file.getvalue()


class Served:
    """A server of files, plain or by TLS; `asked` is what was asked for."""

    def __init__(self, files: dict[str, bytes], tls: TlsFiles | None = None) -> None:
        asked = self.asked = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Host:
    """A host's state folder, on which a step's script runs."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "worker"

    def run(self, step: Mapping[str, object] = STEP, **environment: str) -> subprocess.CompletedProcess[str]:
        script = "\n".join(step["inputs"]["runCommand"])  # type: ignore[index]
        settings = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PATCHWRIGHT_STATE_DIR": str(self.state)}
        return subprocess.run(
            ["sh", "-c", script], env={**settings, **environment}, capture_output=True, text=True, check=False
        )

    @property
    def kept(self) -> list[Path]:
        return sorted(self.folder.glob("worker-*"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "state")


@pytest.fixture
def files() -> dict[str, bytes]:
    return {"/agent/patchwright-agent.pyz": artifact()}


@pytest.fixture
def served(files: dict[str, bytes]) -> Iterator[Served]:
    server = Served(files)
    yield server
    server.close()


def order(url: str, content: bytes | None = None, signer: int = 1, **other: str) -> dict[str, str]:
    """What a delivered copy has in the environment of its step, for an artefact of this content."""
    content = artifact() if content is None else content
    environment = worker_environment(
        server=url,
        sha256=hashlib.sha256(content).hexdigest(),
        signature=sign(key(signer), content).hex(),
        key=f"{key(signer).public_key().public_numbers().n:x}",
        ca_sha256="",
    )
    return {"PATCHWRIGHT_TOKEN": SECRET, **environment, **other}


def test_a_host_with_its_own_agent_runs_that_one(host: Host, tmp_path: Path) -> None:
    own = tmp_path / "own.pyz"
    own.write_bytes(artifact())
    done = host.run(PATCHWRIGHT_AGENT=str(own), PATCHWRIGHT_PYTHON=sys.executable)
    assert json.loads(done.stdout)[0] == ["patch"]
    assert not host.folder.exists()


def test_the_worker_is_fetched_once_and_started_with_what_it_needs(host: Host, served: Served) -> None:
    done = host.run(**order(served.url))
    assert done.returncode == 0, done.stderr
    arguments, environment = json.loads(done.stdout)
    assert arguments == ["patch"]
    assert environment["PATCHWRIGHT_SERVER"] == served.url
    assert environment["PATCHWRIGHT_TOKEN"] == SECRET
    assert environment["PATCHWRIGHT_STATE_DIR"] == str(host.state)
    assert host.folder.stat().st_mode & 0o777 == 0o700
    again = host.run(**order(served.url))
    assert again.returncode == 0, again.stderr
    assert served.asked == ["/agent/patchwright-agent.pyz"]


def test_a_kept_worker_that_was_changed_is_fetched_anew(host: Host, served: Served) -> None:
    host.run(**order(served.url))
    host.kept[0].write_bytes(artifact(b"print('evil')"))
    assert json.loads(host.run(**order(served.url)).stdout)[0] == ["patch"]
    assert host.kept[0].read_bytes() == artifact()
    assert len(served.asked) == 2


def test_a_new_release_of_the_worker_takes_over_and_the_one_that_may_run_stays(
    host: Host, served: Served, files: dict[str, bytes]
) -> None:
    host.run(**order(served.url))
    files["/agent/patchwright-agent.pyz"] = newer = artifact(SAYS + b"# newer\n")
    assert host.run(**order(served.url, newer)).returncode == 0
    assert len(host.kept) == 2


@pytest.mark.parametrize("what", ["other bytes", "another signature", "no signature", "nothing"])
def test_what_is_not_the_named_worker_is_never_run_or_kept(
    host: Host, served: Served, files: dict[str, bytes], what: str
) -> None:
    wanted = order(served.url)
    if what == "other bytes":
        files["/agent/patchwright-agent.pyz"] = artifact(b"print('evil')")
    elif what == "another signature":
        wanted["PATCHWRIGHT_WORKER_SIGNATURE"] = sign(key(2), artifact()).hex()
    elif what == "no signature":
        wanted["PATCHWRIGHT_WORKER_SIGNATURE"] = "00" * 256
    else:
        files["/agent/patchwright-agent.pyz"] = b""
    done = host.run(**wanted)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was run" in done.stderr
    assert host.kept == []
    assert SECRET not in done.stderr


def test_another_signer_than_before_is_refused_until_the_worker_is_removed(host: Host, served: Served) -> None:
    host.run(**order(served.url))
    done = host.run(**order(served.url, signer=2))
    assert done.returncode == 1
    assert "Patchwright-RemoveWorker" in done.stderr
    assert host.run(REMOVE).returncode == 0
    assert not host.state.exists()
    assert host.run(**order(served.url, signer=2)).returncode == 0


def test_a_folder_that_others_may_write_is_refused(host: Host, served: Served) -> None:
    host.folder.mkdir(parents=True)
    host.folder.chmod(0o777)
    done = host.run(**order(served.url))
    assert done.returncode == 1
    assert served.asked == []


def test_the_authority_is_known_by_its_pin(host: Host, tmp_path: Path, files: dict[str, bytes]) -> None:
    tls = ensure(tmp_path, ["127.0.0.1"], datetime.now(UTC))
    files["/ca.pem"] = tls.ca.read_bytes()
    server = Served(files, tls)
    try:
        wrong = host.run(**order(server.url, PATCHWRIGHT_WORKER_CA_SHA256="0" * 64))
        assert wrong.returncode == 1
        assert "nothing was sent" in wrong.stderr
        assert server.asked == ["/ca.pem"]
        right = host.run(**order(server.url, PATCHWRIGHT_WORKER_CA_SHA256=ca_sha256(tls.ca)))
        assert right.returncode == 0, right.stderr
        trusted = json.loads(right.stdout)[1]["PATCHWRIGHT_CA_FILE"]
        assert Path(trusted).read_bytes() == tls.ca.read_bytes()
    finally:
        server.close()


def test_removing_leaves_the_state_of_an_agent_that_lives_there(host: Host, served: Served) -> None:
    host.run(**order(served.url))
    (host.state / "identity.json").write_text("{}")
    assert host.run(REMOVE).returncode == 0
    assert not host.folder.exists()
    assert (host.state / "identity.json").exists()
    assert "no worker" in host.run(REMOVE).stdout


def test_nothing_is_removed_under_a_run(host: Host, served: Served) -> None:
    host.run(**order(served.url))
    with (host.state / "patch-run.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = host.run(REMOVE)
    assert done.returncode == 1
    assert "under way" in done.stderr
    assert len(host.kept) == 1


def test_the_scripts_take_nothing_from_parameters() -> None:
    for step in (STEP, REMOVE):
        assert "{{" not in "\n".join(step["inputs"]["runCommand"])
