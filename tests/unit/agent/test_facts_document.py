"""The facts document: its shape, its digests, and that equal facts are equal bytes."""

import hashlib
import json

from patchwright_agent.managers.model import Line, ManagerFacts, Offer, Package, Problem, Repository, Source
from patchwright_agent.platform import OperatingSystem
from patchwright_agent.worker.facts import Document, HostFacts, document, printed
from patchwright_agent.worker.reboot import Reboot
from patchwright_agent.worker.stale_services import StaleService

MAIN = Repository("Debian", "Debian", "stable", "bookworm", "main", "deb.example", True)
THIRD = Repository("Acme", "Acmé", "any", "any", "main", "acme.example", False)


def manager_facts() -> ManagerFacts:
    offer = Offer("1.1", "libs", "optional", "src", "1.1", (MAIN, THIRD), "500", "")
    return ManagerFacts(
        manager="apt",
        manager_version="2.6.1",
        arch="amd64",
        packages=[
            Package("lib", "amd64", "1.0", "libs", "optional", "src", "1.0", (MAIN,), 1767225600),
            Package("own", "all", "3", "misc", "extra", "own", "3", (), 0),
        ],
        lines=[Line("lib", "amd64", "1.0", "1.1", (offer,))],
        holds=[("lib", "amd64")],
        kernels=["6.1.0-21-amd64"],
        sources=[Source(MAIN, 1767225600)],
        sources_digest="d" * 64,
        problems=[Problem("LOCKED", "held by dpkg", "fuser -v /x", ())],
    )


def facts_at(collected_at: float) -> Document:
    system = OperatingSystem("debian", "12", "bookworm", "Debian GNU/Linux", "Debian GNU/Linux 12", "")
    host = HostFacts(
        system=system,
        boot_id="b-1",
        running_kernel="6.1.0-18-amd64",
        newest_kernel="6.1.0-21-amd64",
        reboot=Reboot(True, ("/run/reboot-required",), ("lib",)),
        stale_services=[StaleService("ssh.service", ("/usr/lib/libssl.so.3",))],
    )
    return document(manager_facts(), host, "0.1.0", collected_at)


def test_the_document_has_the_shape_of_version_1() -> None:
    whole = json.loads(printed(facts_at(12.5)))
    assert (whole["facts_version"], whole["agent_version"], whole["collected_at"]) == (1, "0.1.0", 12.5)
    parts = whole["parts"]
    assert parts["installed"] == {
        "repositories": [["Debian", "Debian", "stable", "bookworm", "main", "deb.example", True]],
        "packages": [
            "lib\tamd64\t1.0\tlibs\toptional\tsrc\t1.0\t0",
            "own\tall\t3\tmisc\textra\town\t3\t",
        ],
    }
    assert parts["upgradable"] == {
        "repositories": [list(THIRD), list(MAIN)],  # sorted; each part has its own list
        "lines": [["lib\tamd64\t1.0", "1.1", ["1.1\tlibs\toptional\tsrc\t1.1\t1,0\t500\t"]]],
    }
    assert parts["times"] == [1767225600, 0]
    state = parts["state"]
    assert state["kernel"] == {"running": "6.1.0-18-amd64", "newest_installed": "6.1.0-21-amd64"}
    assert state["reboot"] == {"required": True, "evidence": ["/run/reboot-required"], "packages": ["lib"]}
    assert state["holds"] == ["lib\tamd64"]
    assert state["problems"][0] == {
        "code": "LOCKED", "message": "held by dpkg", "remedy": "fuser -v /x", "packages": [],
    }  # fmt: skip
    assert state["stale_services"] == [{"unit": "ssh.service", "libraries": ["/usr/lib/libssl.so.3"]}]
    assert state["sources"][0]["released_at"] == 1767225600
    assert state["os"]["codename"] == "bookworm"


def test_digests_are_those_of_the_printed_bytes() -> None:
    facts = facts_at(1.0)
    whole = json.loads(printed(facts))
    lines = []
    for name in sorted(whole["parts"]):
        body = json.dumps(whole["parts"][name], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        lines.append(f"{name}:{hashlib.sha256(body.encode()).hexdigest()}\n")
    assert whole["digest"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert {part.name: part.digest for part in facts.parts} == {
        line.split(":")[0]: line.split(":")[1].strip() for line in lines
    }


def test_the_clock_is_in_no_part() -> None:
    early, late = facts_at(1.0), facts_at(2.0)
    assert early.parts == late.parts
    assert early.digest == late.digest


def test_the_indented_form_says_the_same() -> None:
    facts = facts_at(1.0)
    assert json.loads(printed(facts, pretty=True)) == json.loads(printed(facts))
    assert printed(facts, pretty=True).isascii()  # nothing that a terminal could misread
