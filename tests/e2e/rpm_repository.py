"""Small signed rpm repositories with update notices, built in a second and served on the lab's network.

    repository = RpmRepository(folder, key, url, "lab")      # the fixture make_rpm_repository does this, and serves it
    repository.add(Rpm("tb-lib", "1.0-1"), Rpm("tb-lib", "1.1-1"))      # several versions; built together by publish
    repository.add_notice(Notice("LAB-2026:1", packages=(Rpm("tb-lib", "1.1-1"),), cves=("CVE-2026-0001",)))
    repository.publish()                                     # builds, signs, indexes; again after each add
    repository.enable(root)                                  # .repo file and key in a host; it still has to fetch
    repository.install(root, Rpm("local-tool", "3.1-1"))     # by rpm alone, in no repository

Hosts that are posed as a distribution are made by rpm_hosts.py.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.e2e.roots import CannotRun, Root

TOOLS = ("rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c", "gpg")
KEY_NAME = "Test Lab"
BUILT_AT = 1_767_323_045  # 2026-01-02 03:04:05 UTC


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package to build: `evr` is [epoch:]version-release; `tags` are further lines of its preamble.

    `scripts` are scriptlets by name (`post`, `pre`, ...), run by /bin/sh; `files` are contents by path.
    """

    name: str
    evr: str
    arch: str = "x86_64"
    tags: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    built_at: int = BUILT_AT

    @property
    def epoch(self) -> str:
        return self.evr.partition(":")[0] if ":" in self.evr else "0"

    @property
    def version(self) -> str:
        return self.evr.rpartition(":")[2].partition("-")[0]

    @property
    def release(self) -> str:
        return self.evr.partition("-")[2]

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"

    def spec(self, folder: Path) -> str:
        """The spec file's text; the files' contents are put below `folder`."""
        lines = [
            "%define use_source_date_epoch_as_buildtime 1", "%define debug_package %{nil}",
            f"Name: {self.name}", f"Version: {self.version}", f"Release: {self.release}", f"Epoch: {self.epoch}",
            f"Summary: test package {self.name}", "License: MIT", "AutoReqProv: no",
            *(["BuildArch: noarch"] if self.arch == "noarch" else []), *self.tags, "%description", "%{summary}.",
        ]  # fmt: skip
        if self.files:
            lines.append("%install")
        for path, content in self.files.items():
            source = folder / "files" / path.lstrip("/")
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(content)
            lines.append(f"install -D -m 644 {source} %{{buildroot}}{path}")
        for name, script in self.scripts.items():
            lines += [f"%{name}", script]
        return "\n".join([*lines, "%files", *self.files, ""])


@dataclass(frozen=True, slots=True)
class Notice:
    """An update notice; dates as updateinfo spells them, "" where it has none."""

    id: str
    packages: tuple[Rpm, ...]
    type: str = "security"
    severity: str = "Important"
    cves: tuple[str, ...] = ()
    bugzillas: tuple[str, ...] = ()
    issued: str = "2026-01-03 00:00:00"
    updated: str = ""

    def xml(self) -> str:
        references = [("cve", cve) for cve in self.cves] + [("bugzilla", bug) for bug in self.bugzillas]
        packages = "".join(
            f"<package name={quoteattr(p.name)} version={quoteattr(p.version)} release={quoteattr(p.release)} "
            f'epoch={quoteattr(p.epoch)} arch={quoteattr(p.arch)} src="x.src.rpm">'
            f"<filename>{escape(p.file_name)}</filename></package>"
            for p in self.packages
        )
        listed = "".join(
            f'<reference href="https://bugs.example.invalid/{i}" id={quoteattr(i)} type="{kind}" title={quoteattr(i)}/>'
            for kind, i in references
        )
        return (
            f'<update from="lab@example.invalid" status="final" type={quoteattr(self.type)} version="1">'
            f"<id>{escape(self.id)}</id><title>{escape(self.id)}</title>"
            + (f"<issued date={quoteattr(self.issued)}/>" if self.issued else "")
            + (f"<updated date={quoteattr(self.updated)}/>" if self.updated else "")
            + (f"<severity>{escape(self.severity)}</severity>" if self.severity else "")
            + f"<description>A fix.</description><references>{listed}</references>"
            f'<pkglist><collection short="lab"><name>lab</name>{packages}</collection></pkglist></update>'
        )


class RpmSigningKey:
    """An RSA key in a keyring of its own; `public` is the key as rpm imports it."""

    def __init__(self, folder: Path, name: str = KEY_NAME) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise CannotRun(f"missing {', '.join(missing)}: apt-get install rpm createrepo-c gnupg")
        folder.mkdir(mode=0o700, parents=True)
        self.home, self.name = folder, name
        self._gpg("--passphrase", "", "--quick-gen-key", name, "rsa2048", "sign", "never")
        self.public = self._gpg("--armor", "--export")

    def sign(self, rpms: Iterable[Path]) -> None:
        macros = {"_gpg_name": self.name, "_gpg_path": self.home, "__gpg": shutil.which("gpg")}
        defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        _run("rpmsign", *defines, "--addsign", *map(str, rpms))

    def detach_sign(self, path: Path) -> None:
        self._gpg("--yes", "--armor", "--detach-sign", "-o", f"{path}.asc", str(path))

    def close(self) -> None:
        """End the agent that gpg left running."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)

    def _gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


class RpmRepository:
    """A repository at `url`, whose files are in `folder`."""

    def __init__(self, folder: Path, key: RpmSigningKey, url: str, name: str = "lab") -> None:
        self.name, self.url, self.folder = name, url, folder
        self.key = key
        self.modules = ""
        """modulemd documents (YAML), published when there are any."""
        self._new: list[Rpm] = []
        self._notices: list[Notice] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, *rpms: Rpm) -> None:
        """Put packages in; `publish` builds them and makes them visible."""
        self._new += rpms

    def remove(self, rpm: Rpm) -> None:
        """Take a version out."""
        (self.folder / rpm.file_name).unlink()

    def add_notice(self, *notices: Notice) -> None:
        self._notices += notices

    def publish(self, *, sign: bool = True) -> None:
        """Build and sign what is new, and write the metadata with all notices."""
        built = build(self._new, self.folder)
        self._new = []
        if sign and built:
            self.key.sign(built)
        shutil.rmtree(self.folder / "repodata", ignore_errors=True)
        _run("createrepo_c", "--quiet", "--general-compress-type=gz", str(self.folder))
        repodata = self.folder / "repodata"
        if self._notices:
            notices = "".join(notice.xml() for notice in self._notices)
            text = f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>{notices}</updates>\n'
            self._insert("updateinfo", "updateinfo.xml", text)
        if self.modules:
            self._insert("modules", "modules.yaml", self.modules)
        self.key.detach_sign(repodata / "repomd.xml")

    def _insert(self, kind: str, file_name: str, text: str) -> None:
        path = self.folder / file_name
        path.write_text(text)
        _run("modifyrepo_c", f"--mdtype={kind}", str(path), str(self.folder / "repodata"))
        path.unlink()

    def enable(self, root: Root, *lines: str) -> None:
        """Write the .repo file and the key into a host; `lines` are further settings of the repository."""
        key = f"/etc/pki/rpm-gpg/{self.name}"
        root.write(key, self.key.public)
        settings = [
            f"name={self.name}",
            f"baseurl={self.url}",
            "enabled=1",
            "gpgcheck=1",
            f"gpgkey=file://{key}",
            *lines,
        ]
        root.write(f"/etc/yum.repos.d/{self.name}.repo", "\n".join([f"[{self.name}]", *settings, ""]))

    def install(self, root: Root, *rpms: Rpm, options: tuple[str, ...] = ()) -> None:
        """Install packages on a host by rpm alone."""
        folder = self.folder.parent / f"{self.name}-local"
        install(root, build(rpms, folder), options)


def install(root: Root, paths: Iterable[Path], options: tuple[str, ...] = ()) -> None:
    """Install package files on a host by rpm alone. Debian's rpm wants to be told that it is meant."""
    inside = []
    for path in paths:
        inside.append(f"/var/tmp/{path.name}")
        root.write(inside[-1], path.read_bytes())
    root.run(["rpm", "--force-debian", "-i", "--nosignature", *options, *inside])


def build(rpms: Iterable[Rpm], folder: Path) -> list[Path]:
    """Build packages into `folder`, those of one build time by one rpmbuild."""
    folder.mkdir(parents=True, exist_ok=True)
    by_time: dict[int, list[Rpm]] = {}
    for rpm in rpms:
        by_time.setdefault(rpm.built_at, []).append(rpm)
    work = folder.parent / f"{folder.name}.build"
    for moment, group in by_time.items():
        specs = []
        for number, rpm in enumerate(group):
            place = work / str(number)
            place.mkdir(parents=True)
            (place / "it.spec").write_text(rpm.spec(place))
            specs.append(str(place / "it.spec"))
        macros = {
            "_topdir": work, "_rpmdir": folder, "_build_name_fmt": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
            "_buildhost": "lab", "_binary_payload": "w1.gzdio",
        }  # fmt: skip
        defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
        _run("rpmbuild", "-bb", "--quiet", *defines, *specs, environment=environment)
        shutil.rmtree(work)
    return [folder / rpm.file_name for rpms in by_time.values() for rpm in rpms]


def _run(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout
