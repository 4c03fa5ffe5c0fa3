"""How long a scan takes beside `dnf check-update`, on a host of its own with a repository of 20,000 packages.

    python -m bench.bench_scan_dnf [--runs N]      # as root: it needs namespaces, rpmbuild and createrepo_c

The host has 600 packages installed, half of which have newer versions, and 5,000 notices are published. Metadata are
fresh and fetched by neither side; both run alternately. A scan is measured from the start of its process to its facts
on disk, by the built agent. The limit is 1.2 times dnf.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.repository import FileServer
from tests.e2e.roots import LabNetwork, Root, rpm_base
from tests.e2e.rpm_hosts import ROCKY_9, pose
from tests.e2e.rpm_repository import BUILT_AT, Notice, Rpm, RpmRepository, RpmSigningKey, build, install

from bench.figures import Figure, show
from bench.lab import AGENT

PACKAGES, INSTALLED, NOTICES = 20_000, 600, 5_000
LIMIT_RATIO = 1.2
_SPACE = "http://linux.duke.edu/metadata"
_METADATA = {
    "primary": f'<metadata xmlns="{_SPACE}/common" xmlns:rpm="{_SPACE}/rpm" packages="{{count}}">{{rows}}</metadata>',
    "filelists": f'<filelists xmlns="{_SPACE}/filelists" packages="{{count}}">{{rows}}</filelists>',
}
_PRIMARY = (
    '<package type="rpm"><name>{name}</name><arch>x86_64</arch><version epoch="0" ver="{version}" rel="1"/>'
    '<checksum type="sha256" pkgid="YES">{digest}</checksum><summary>s</summary><description>d</description><packager/>'
    '<url/><time file="{built}" build="{built}"/><size package="1000" installed="1000" archive="1000"/>'
    '<location href="{name}-{version}-1.x86_64.rpm"/><format><rpm:license>MIT</rpm:license><rpm:vendor/>'
    "<rpm:group>x</rpm:group><rpm:buildhost>lab</rpm:buildhost><rpm:sourcerpm>{name}-{version}-1.src.rpm</rpm:sourcerpm>"
    '<rpm:header-range start="0" end="0"/><rpm:provides><rpm:entry name="{name}" flags="EQ" epoch="0" ver="{version}" '
    'rel="1"/>{provides}</rpm:provides></format></package>'
)
_FILELISTS = (
    '<package pkgid="{digest}" name="{name}" arch="x86_64">'
    '<version epoch="0" ver="{version}" rel="1"/>{files}</package>'
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=9, help="measured rounds (default 9)")
    show(measure(parser.parse_args().runs))
    return 0


def measure(runs: int = 9) -> list[Figure]:
    """The medians of both sides. Raises CannotRun where no hosts can be made."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pw-bench-dnf-")))
        network = LabNetwork()
        stack.callback(network.close)
        key = RpmSigningKey(folder / "key")
        stack.callback(key.close)
        files = FileServer(folder / "repository", network.address)
        stack.callback(files.close)
        repository = RpmRepository(folder / "repository", key, files.url, "baseos")
        root = Root(rpm_base(), network, "bench-dnf")
        stack.callback(root.close)
        pose(root, ROCKY_9, folder / "release")
        publish(repository)
        repository.enable(root)
        install(root, build([Rpm(name, "1-1") for name in names(INSTALLED)], folder / "installed"), ("--justdb",))
        root.run(["dnf", "-q", "makecache"])
        root.write("/agent.pyz", AGENT.read_bytes())
        return _figures(root, runs)


def names(count: int) -> Iterator[str]:
    return (f"package-{number:05}" for number in range(count))


def publish(repository: RpmRepository) -> None:
    """Two versions of each name, four more of every sixth; notices name eight of them each."""
    offered = [(name, version) for name in names(PACKAGES // 2) for version in ("1", "2")]
    offered += [(name, str(version)) for name in list(names(INSTALLED))[::6] for version in range(3, 7)]
    # Half of the installed have nothing newer.
    offered = [(n, v) for n, v in offered if v == "1" or int(n[-5:]) % 2 == 0 or int(n[-5:]) >= INSTALLED]
    rows: dict[str, list[str]] = {"primary": [], "filelists": []}
    for name, version in offered:
        digest = hashlib.sha256(f"{name}-{version}".encode()).hexdigest()
        provides = "".join(f'<rpm:entry name="lib{name}-{n}.so.1()(64bit)"/>' for n in range(4))
        listed = "".join(f"<file>/usr/share/{name}/{n}</file>" for n in range(30))
        rows["primary"].append(
            _PRIMARY.format(name=name, version=version, digest=digest, built=BUILT_AT, provides=provides)
        )
        rows["filelists"].append(_FILELISTS.format(name=name, version=version, digest=digest, files=listed))
    newer = [(name, version) for name, version in offered if version != "1"]
    for number in range(NOTICES):
        named = (newer[(number * 8 + n) % len(newer)] for n in range(8))
        cves = tuple(f"CVE-2026-{number * 3 + n:05}" for n in range(3))
        repository.add_notice(Notice(f"LAB-2026:{number:05}", tuple(Rpm(n, f"{v}-1") for n, v in named), cves=cves))
    repository.publish()
    for kind, entries in rows.items():
        path = repository.folder / f"{kind}.xml"
        path.write_text(_METADATA[kind].format(count=len(entries), rows="".join(entries)))
        for argv in (["--remove", kind], [f"--mdtype={kind}", str(path)]):
            subprocess.run(
                ["modifyrepo_c", *argv, str(repository.folder / "repodata")], check=True, capture_output=True
            )
        path.unlink()


def _figures(root: Root, runs: int) -> list[Figure]:
    scan = ["python3", "/agent.pyz", "facts", "--no-refresh"]
    seconds: dict[str, list[float]] = {"dnf": [], "first": [], "again": []}
    for _ in range(runs):
        seconds["dnf"].append(_timed(root, ["dnf", "-q", "check-update"], 100))
        root.run(["rm", "-rf", "/var/lib/patchwright-agent"])
        seconds["first"].append(_timed(root, scan, 0))
        seconds["again"].append(_timed(root, scan, 0))
    parts = json.loads(root.run(scan).stdout)["parts"]
    sizes = f"{len(parts['installed']['packages'])} packages, {len(parts['notices']['notices'])} notices"
    peer = statistics.median(seconds["dnf"])
    what = {"first": "after a change of the repository", "again": "every later scan"}
    return [
        Figure(
            name=f"dnf scan, {kind}",
            what=f"facts on disk, {sizes}, {PACKAGES:,} on offer, {words}",
            value=statistics.median(seconds[kind]),
            unit="s",
            peer="dnf check-update",
            peer_value=peer,
            ratio=statistics.median(seconds[kind]) / peer,
            limit=round(LIMIT_RATIO * peer, 3),
        )
        for kind, words in what.items()
    ]


def _timed(root: Root, argv: list[str], expected: int) -> float:
    """Seconds from the start of the process until its output is on the host's disk."""
    began = time.perf_counter()
    done = root.run(argv, check=False)
    root.write("/root/output", done.stdout)
    took = time.perf_counter() - began
    assert done.returncode == expected, (argv, done.returncode, done.stderr)
    return took


if __name__ == "__main__":
    raise SystemExit(main())
