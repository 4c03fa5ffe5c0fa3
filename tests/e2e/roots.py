"""Real hosts for tests: an overlay over a real Debian base, in its own network, pid, mount and uts namespaces.

    base = apt_base()                          # built once with mmdebstrap, kept in .cache/roots/ by the recipe's hash
    base = rpm_base()                          # the same with dnf: see rpm_repository.py
    network = LabNetwork()                     # a bridge of its own; network.address is where test servers listen
    root = Root(base, network, "web-1")        # a host: some 60 ms; root.address is its address
    root.run(["apt-get", "update"])            # subprocess.CompletedProcess with text; raises CommandFailed
    root.popen(["sleep", "60"])                # subprocess.Popen, in the same namespaces: rivals see each other's locks
    root.write("/etc/motd", "hello")           # and root.read(path); root.path is the root folder as seen from outside
    root.install_agent()                       # root.agent("facts", "--pretty") runs it
    root.reboot()                              # a new PID 1, a new boot_id, an empty /run; files stay
    root.power_cut()                           # kills PID 1, and with it everything; root.start() boots again
    root.close(); network.close()              # nothing is left

The pytest fixtures around them are in conftest.py. All mounts live in the host's own mount namespace, so that the end
of its PID 1 removes them; PID 1 dies with the test process (setpriv --pdeathsig), even by a kill -9;
the bridge and the folders that such a death leaves are removed by the next LabNetwork.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
CACHE_DIR = REPOSITORY_ROOT / ".cache" / "roots"
AGENT_FOLDER = "/usr/local/lib/patchwright-agent"
TOOLS = ("mmdebstrap", "ip", "unshare", "nsenter", "setpriv", "mount")

SUITE = "bookworm"
_VARIANT = (
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
# Not python3-minimal alone: it lacks the json module.
RECIPE = (*_VARIANT, "--include=python3", SUITE)
BOOTED_RECIPE = (*_VARIANT, "--include=python3,systemd,systemd-sysv,dbus", SUITE)
RPM_RECIPE = (*_VARIANT, "--include=python3,rpm,dnf,python3-dnf,dnf-plugins-core", SUITE)
MAX_NETWORKS = 100
_FOLDER_PREFIX = "pwlab-"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PYTHONDONTWRITEBYTECODE": "1",
}

# Becomes PID 1. $1 base, $2 folder of the host's layers, $3 host name.
_BOOT = r"""
set -e
root="$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$root"
hostname "$3"
mount -t proc proc "$root/proc"
mount --bind "$2/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null:3 zero:5 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir -m 1777 "$root/run/lock"
ip link set lo up
exec chroot "$root" /bin/sh -c 'echo ready; exec >/dev/null 2>&1; while :; do sleep 3600 & wait $!; done'
"""


class CannotRun(Exception):
    """This machine cannot make hosts; the message says what is missing."""


class CommandFailed(AssertionError):
    """A command in a root ended with another code than 0; the message holds its output."""


def require_tools() -> None:
    """Raise CannotRun unless hosts can be made here."""
    if os.geteuid() != 0:
        raise CannotRun("the real-root tests need root (namespaces, overlay mounts)")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise CannotRun(f"missing {', '.join(missing)}: apt-get install mmdebstrap iproute2 util-linux")


def apt_base(cache_dir: Path = CACHE_DIR) -> Path:
    """The unpacked base of apt hosts; the first call builds it (half a minute). Several processes may ask at once."""
    return _base("apt", RECIPE, cache_dir)


def rpm_base(cache_dir: Path = CACHE_DIR) -> Path:
    """The base of dnf hosts: rpm's database is empty, so that dnf sees what a test installs and nothing else.

    It is no distribution yet: rpm_repository.py poses a host as one.
    """
    return _base("rpm", RPM_RECIPE, cache_dir)


def booted_base(cache_dir: Path = CACHE_DIR) -> Path:
    """The base of hosts that booted.py boots: with systemd. Raises CannotRun where this machine cannot boot them."""
    if shutil.which("systemd-nspawn") is None:
        raise CannotRun("missing systemd-nspawn: apt-get install systemd-container")
    return _base("booted", BOOTED_RECIPE, cache_dir)


def _base(kind: str, recipe: Sequence[str], cache_dir: Path) -> Path:
    require_tools()
    folder = cache_dir / f"{kind}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]}"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _build(folder, recipe)
    return folder


def _build(folder: Path, recipe: Sequence[str]) -> None:
    temporary = folder.with_name(folder.name + ".building")
    shutil.rmtree(temporary, ignore_errors=True)
    argv = ["mmdebstrap", "--quiet", *recipe, str(temporary), f"deb {_mirror()} {SUITE} main"]
    built = subprocess.run(argv, capture_output=True, text=True, timeout=900)
    if built.returncode != 0:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CannotRun(f"mmdebstrap failed: {built.stderr[-500:]}")
    (temporary / "etc/apt/sources.list").write_text("")
    for path in (temporary / "var/lib/apt/lists").glob("*_*"):
        path.unlink()
    if (temporary / "usr/bin/rpm").exists():
        # Debian's rpm would keep its database below root's home folder.
        (temporary / "etc/rpm").mkdir(exist_ok=True)
        (temporary / "etc/rpm/macros").write_text("%_dbpath /var/lib/rpm\n")
    temporary.rename(folder)


def _mirror() -> str:
    """The machine's own mirror of the suite: tests need no address of ours."""
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    if not lines:
        raise CannotRun(f"this machine's apt knows no mirror of {SUITE}, which the base of the hosts is built from")
    return lines[0]


class LabNetwork:
    """A bridge with addresses of its own, 10.77.N.0/24; `address` is the test's end of it."""

    def __init__(self) -> None:
        require_tools()
        _remove_leftovers()
        self.number, self.bridge = self._claim()
        self.address = f"10.77.{self.number}.1"
        self._next_host = 2
        _ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def _claim(self) -> tuple[int, str]:
        """Take the first free number; a bridge whose process has died is removed on the way."""
        for number in range(MAX_NETWORKS):
            bridge = f"pwlab{number}"
            alias = Path(f"/sys/class/net/{bridge}/ifalias")
            with contextlib.suppress(OSError, ValueError):
                if not Path(f"/proc/{int(alias.read_text())}").exists():
                    _ip("link", "del", bridge)
            if subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], capture_output=True).returncode == 0:
                _ip("link", "set", bridge, "alias", str(os.getpid()))
                return number, bridge
        raise CannotRun(f"no free network among {MAX_NETWORKS}: remove the pwlab bridges that nobody uses")

    def allocate(self) -> tuple[int, str]:
        """The number and the address of one more host."""
        number, self._next_host = self._next_host, self._next_host + 1
        if number > 254:
            raise CannotRun("a network holds 253 hosts")
        return number, f"10.77.{self.number}.{number}"

    def close(self) -> None:
        _ip("link", "del", self.bridge)


class Root:
    """One host. Its files outlive a reboot, not `close`."""

    def __init__(self, base: Path, network: LabNetwork, name: str) -> None:
        self.name = name
        self.boot_id = ""
        self._base = base
        self._network = network
        self._number, self.address = network.allocate()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-{name}-"))
        self._launcher: subprocess.Popen[str] | None = None
        self._pid = 0
        for layer in ("upper", "work", "root"):
            (self._folder / layer).mkdir()
        (self._folder / "upper").chmod(0o755)
        self.start()

    @property
    def path(self) -> Path:
        """The host's root folder as seen from outside; valid while it runs."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def pid(self) -> int:
        """The host's PID 1 as seen from outside."""
        return self._pid

    def start(self) -> None:
        """Boot: new namespaces, a new boot_id, an empty /run."""
        self.boot_id = str(uuid.uuid4())
        (self._folder / "boot_id").write_text(self.boot_id + "\n")
        argv = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--net",
            "--ipc",
            "--fork",
            "--kill-child",
            "/bin/sh",
            "-c",
            _BOOT,
            "boot",
            str(self._base),
            str(self._folder),
            self.name,
        ]
        self._launcher = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        assert self._launcher.stdout is not None and self._launcher.stderr is not None
        if self._launcher.stdout.readline() != "ready\n":
            raise CannotRun(f"host {self.name} did not start: {self._launcher.stderr.read()}")
        children = Path(f"/proc/{self._launcher.pid}/task/{self._launcher.pid}/children").read_text().split()
        self._pid = int(children[0])
        self._connect()

    def _connect(self) -> None:
        outside = self._link
        _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(self._pid))
        _ip("link", "set", outside, "master", self._network.bridge, "up")
        inside = ["nsenter", "--net", "--target", str(self._pid), "ip"]
        subprocess.run([*inside, "addr", "add", f"{self.address}/24", "dev", "eth0"], check=True)
        subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)

    @property
    def _link(self) -> str:
        """The outer end of the host's network cable."""
        return f"pw{self._network.number}v{self._number}"

    def popen(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command as root in the host; `options` are Popen's, text and pipes by default."""
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        }
        enter = [
            "nsenter",
            "--target",
            str(self.pid),
            "--mount",
            "--pid",
            "--uts",
            "--net",
            "--ipc",
            "--root",
            "--wdns=/",
        ]
        return subprocess.Popen(
            [*enter, "--", *argv], env={**_ENVIRONMENT, **(env or {})}, start_new_session=True, **settings
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the host, with text output. With `check`, a failure raises CommandFailed."""
        with self.popen(argv, env=env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL) as process:
            try:
                stdout, stderr = process.communicate(input, timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if check and process.returncode != 0:
            raise CommandFailed(f"{' '.join(argv)} ended with {process.returncode} on {self.name}:\n{stdout}\n{stderr}")
        return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file of the host, with its folders."""
        target = self.path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return (self.path / path.lstrip("/")).read_text()

    def exists(self, path: str) -> bool:
        return (self.path / path.lstrip("/")).exists()

    def install_agent(self) -> None:
        """Copy the agent's source tree in, where `agent` runs it."""
        target = self.path / AGENT_FOLDER.lstrip("/")
        source = REPOSITORY_ROOT / "agent" / "patchwright_agent"
        shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("__pycache__"))

    def agent(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the agent's worker (`facts ...`, `patch ...`); `options` are those of `run`."""
        entry = "import sys; from patchwright_agent.worker.main import main; sys.exit(main(sys.argv[1:]))"
        env = {"PYTHONPATH": AGENT_FOLDER, **options.pop("env", {})}
        return self.run(["python3", "-c", entry, *arguments], env=env, **options)

    def power_cut(self) -> None:
        """Kill PID 1 and with it every process of the host, at once."""
        if self._launcher is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._launcher.wait(timeout=20)
        for stream in (self._launcher.stdout, self._launcher.stderr):
            if stream is not None:
                stream.close()
        self._launcher = None
        # The kernel removes a dead host's network in its own time; the next boot needs the name.
        subprocess.run(["ip", "link", "del", self._link], check=False, capture_output=True)

    def reboot(self) -> None:
        self.power_cut()
        self.start()

    def close(self) -> None:
        """End the host and delete its files."""
        self.power_cut()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def lab() -> Iterator[LabNetwork]:
    """A network for scripts that are no tests."""
    network = LabNetwork()
    try:
        yield network
    finally:
        network.close()


def _remove_leftovers() -> None:
    """Delete the folders of hosts whose test process has died."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*-*"):
        owner = folder.name[len(_FOLDER_PREFIX) :].partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
