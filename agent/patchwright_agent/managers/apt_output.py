"""Parsers of what dpkg and apt print. Pure: captured text in, values out.

The text is hostile: a repository or a local package chooses much of it. What cannot be read is counted, never guessed.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import text

# Separators that no field of an honest package holds, so that a tab or a line break within a field breaks nothing else.
FIELD_SEPARATOR = "\x1f"
RECORD_SEPARATOR = "\x1e\n"
DPKG_QUERY_FORMAT = (
    FIELD_SEPARATOR.join(
        "${%s}" % name
        for name in (
            "db:Status-Abbrev",
            "Package",
            "Architecture",
            "Version",
            "Section",
            "Priority",
            "source:Package",
            "source:Version",
        )
    )
    + RECORD_SEPARATOR
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,254}\Z")
ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}\Z")
VERSION = re.compile(r"[A-Za-z0-9.+~:_-]{1,255}\Z")

_POLICY_HEADER = re.compile(r"(\S+):\Z")
_POLICY_VERSION = re.compile(r"(?: (\*\*\*) |     )(\S+) (-?\d{1,6})(?: \(phased (\d{1,3})%\))?\Z")
_POLICY_SOURCE = re.compile(r" {7,}-?\d{1,6} (.+)\Z")
_CREDENTIALS = re.compile(r"://[^/@\s]*@")
_UNMET_HEADER = re.compile(r" (\S+) : ")


class Record(NamedTuple):
    """A package of the dpkg database. `status` is the two or three letters of `dpkg -l`: want, state, error flag."""

    status: str
    name: str
    arch: str
    version: str
    section: str
    priority: str
    source: str
    source_version: str


class PolicyVersion(NamedTuple):
    """A version of apt's table. `descriptions` are the sources' names, as index targets spell them."""

    version: str
    installed: bool
    pin: str
    phased: str
    descriptions: Tuple[str, ...]


class Policy(NamedTuple):
    """apt's table of one package, newest version first, and the version that apt would take ("" for none)."""

    candidate: str
    versions: Tuple[PolicyVersion, ...]


class IndexTarget(NamedTuple):
    """An index file that apt's sources name. `filename` is where apt keeps it."""

    description: str
    filename: str
    meta_key: str
    base_uri: str
    origin: str
    label: str
    suite: str
    codename: str
    component: str
    site: str
    arch: str
    trusted: bool


def parse_dpkg_query(output: str) -> Tuple[List[Record], int]:
    """The records of `dpkg-query -W -f DPKG_QUERY_FORMAT`, and the number of those that cannot be read."""
    records, unreadable = [], 0
    for line in output.split(RECORD_SEPARATOR):
        if not line:
            continue
        fields = line.split(FIELD_SEPARATOR)
        if len(fields) != 8 or not _identifies(fields[1], fields[2], fields[3]):
            # A removed package keeps no version when only its selection is left ("un", "hn"): it has no files.
            if not (len(fields) == 8 and len(fields[0]) >= 2 and fields[0][1] == "n"):
                unreadable += 1
            continue
        status, name, arch, version = fields[0].strip(), fields[1], fields[2], fields[3]
        section, priority = text.field(fields[4]), text.field(fields[5])
        source, source_version = text.field(fields[6]) or name, text.field(fields[7]) or version
        records.append(Record(status, name, arch, version, section, priority, source, source_version))
    return records, unreadable


def _identifies(name: str, arch: str, version: str) -> bool:
    return bool(NAME.match(name) and ARCHITECTURE.match(arch) and VERSION.match(version))


def parse_policy(output: str) -> Dict[str, Policy]:
    """The tables of `apt-cache policy PACKAGE...`, by apt's name of the package (foreign ones as `name:arch`)."""
    policies: Dict[str, Policy] = {}
    header, candidate = "", ""
    versions: List[PolicyVersion] = []

    def close() -> None:
        if header and header not in policies:
            policies[header] = Policy(candidate, tuple(versions))

    for line in output.split("\n"):
        if line.startswith("       "):
            source = _POLICY_SOURCE.match(line)
            if source and versions:
                last = versions[-1]
                versions[-1] = last._replace(descriptions=last.descriptions + (source.group(1),))
        elif line.startswith((" *** ", "     ")):
            version = _POLICY_VERSION.match(line)
            if version and VERSION.match(version.group(2)):
                installed, number, pin, phased = version.groups()
                versions.append(PolicyVersion(number, bool(installed), pin, phased or "", ()))
        elif line.startswith("  Candidate: "):
            value = line[len("  Candidate: ") :]
            candidate = value if VERSION.match(value) else ""
        elif line and not line.startswith(" "):
            close()
            match = _POLICY_HEADER.match(line)
            header, candidate, versions = (match.group(1) if match else ""), "", []
    close()
    return policies


def parse_index_targets(output: str) -> List[IndexTarget]:
    """The stanzas of `apt-get indextargets`. Continuation lines are ignored; the first of equal fields counts."""
    targets = []
    for stanza in output.split("\n\n"):
        values: Dict[str, str] = {}
        for line in stanza.split("\n"):
            name, colon, value = line.partition(": ")
            if colon and not name.startswith((" ", "\t")):
                values.setdefault(name.lower(), value)
        if "description" in values and "filename" in values:
            targets.append(_index_target(values))
    return targets


def _index_target(values: Dict[str, str]) -> IndexTarget:
    def get(name: str) -> str:
        return text.field(values.get(name, ""))

    return IndexTarget(
        description=values["description"],  # compared with apt's own spelling, never stored
        filename=values["filename"],
        meta_key=values.get("metakey", ""),
        base_uri=values.get("base-uri", ""),
        origin=get("origin"),
        label=get("label"),
        suite=get("suite"),
        codename=get("codename"),
        component=get("component"),
        site=text.field(host_of(values.get("repo-uri") or values.get("base-uri", ""))),
        arch=get("architecture"),
        trusted=values.get("trusted", "") == "yes",
    )


def host_of(uri: str) -> str:
    """The host of a repository's URI without user, password and port; "" for files."""
    authority = uri.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def parse_config(output: str) -> Dict[str, List[str]]:
    """The settings of `apt-config dump` (`Name "value";`), by lower-case name without the `::` of list items."""
    settings: Dict[str, List[str]] = {}
    for line in output.split("\n"):
        name, blank, value = line.partition(" ")
        if blank and value.startswith('"') and value.endswith('";'):
            settings.setdefault(name.lower().rstrip(":"), []).append(value[1:-2])
    return settings


def parse_unmet(output: str) -> Tuple[str, ...]:
    """The packages whose dependencies `apt-get check` calls unmet, sorted. Continuation lines are indented further."""
    found = {match.group(1) for match in map(_UNMET_HEADER.match, output.split("\n")) if match}
    return tuple(sorted(name for name in found if NAME.match(name.partition(":")[0])))


def first_error(output: str, fallback: str) -> str:
    """The first `E:` line of a tool's messages, made safe to print; else the last line; else `fallback`."""
    lines = [line.strip() for line in output.split("\n") if line.strip()]
    errors = [line[2:].strip() for line in lines if line.startswith("E:")]
    return text.field(without_password((errors or lines[-1:] or [fallback])[0]))


def without_password(message: str) -> str:
    """A message whose addresses name no user and no password: it is shown to others than the host's administrator."""
    return _CREDENTIALS.sub("://", message)


def policy_key(name: str, arch: str, native_arch: str) -> str:
    """apt's name of a package: the architecture is shown for foreign ones only; `all` counts as native."""
    return name if arch in (native_arch, "all") else name + ":" + arch


def installed_position(policy: Policy) -> Optional[int]:
    """Where the installed version stands in the table, None if apt knows of none."""
    for position, version in enumerate(policy.versions):
        if version.installed:
            return position
    return None


def newer_versions(policy: Policy, installed_version: str) -> Sequence[PolicyVersion]:
    """Every version above the installed one, oldest first; a rebuild under the same version string is not newer."""
    position = installed_position(policy)
    if position is None:
        return ()
    return [version for version in reversed(policy.versions[:position]) if version.version != installed_version]
