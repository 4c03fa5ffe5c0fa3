"""What tests of Installs do with apt hosts: prepare one, publish again, look at what dpkg holds.

prepared(host, repository, "tb-lib=1")       # published, enabled, fetched, installed
republished(repository)                      # after more was added: the host's next refresh sees it
versions(host, "tb-*")                       # {"tb-lib": "1"}; what is not whole shows dpkg's status first
failures(run); is_sound(host)
"""

import os

from tests.e2e.planner import PlannedRun
from tests.e2e.repository import AptRepository
from tests.e2e.roots import Root


def prepared(host: Root, repository: AptRepository, *installed: str, suites: tuple[str, ...] = ("stable",)) -> None:
    """Publish what was added, enable it on the host, install these versions."""
    repository.publish()
    repository.enable(host, *suites)
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", *installed])


def republished(repository: AptRepository) -> None:
    """Publish again, so that a host's next refresh sees it: apt compares whole seconds."""
    known = {path: path.stat().st_mtime for path in repository.folder.glob("dists/*/InRelease")}
    repository.publish()
    for path, moment in known.items():
        os.utime(path, (moment + 10, moment + 10))


def versions(host: Root, *names: str) -> dict[str, str]:
    """The version of each package that is installed whole; what is not, with dpkg's status before it."""
    argv = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\n", *names]
    rows = [line.split("|") for line in host.run(argv, check=False).stdout.splitlines()]
    known = [(status, name, version) for status, name, version in rows if not status.startswith("un")]
    return {name: version if status in ("ii ", "hi ") else f"{status}{version}" for status, name, version in known}


def failures(run: PlannedRun) -> dict[str, str]:
    return {failure["Name"]: failure["Message"] for failure in run.finished.get("Failures", ())}


def is_sound(host: Root) -> bool:
    audit = host.run(["dpkg", "--audit"]).stdout
    return audit == "" and host.run(["apt-get", "check"], check=False).returncode == 0
