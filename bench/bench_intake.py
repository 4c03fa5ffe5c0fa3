"""Full reports a second from 32 reporters: the steps of the node's door without HTTP and signatures.

Each report is read and checked on a snapshot, then kept through the store's group commit with `synchronous=FULL`: what
`PutFacts` does, at the flow. 630 packages, 60 upgradable a report. `repeated`: nine of ten are the node's last report
again, which is announced by digests alone; `changed`: none is.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figure
from bench.fleet import Fleet
from patchwright.flows.facts_document import Part, Report, document_digest
from patchwright.flows.receive_facts import accept_facts, read_sent
from patchwright.store import nodes
from patchwright.store.engine import Tx

REPORTERS = 32
LIMITS = {"repeated": 1_000.0, "changed": 500.0}


def measure() -> list[Figure]:
    """Both mixes, on SQLite."""
    with tempfile.TemporaryDirectory(prefix="pw-bench-intake-") as folder:
        fleet = Fleet(Path(folder))
        try:
            fleet.report_all()
            last = {node_id: fleet.parts() for node_id in fleet.node_ids}
            for node_id, parts in last.items():
                _send(fleet, node_id, parts)
            changed = [(node_id, fleet.parts()) for node_id in fleet.node_ids]
            repeated = [
                (node_id, fleet.parts() if n % 10 == 0 else [Part(name=p.name, digest=p.digest) for p in last[node_id]])
                for n, node_id in enumerate(fleet.node_ids * 4)
            ]
            size = sum(len(part.body or "") for part in changed[0][1])
            return [
                _figure(fleet, "repeated", repeated, "nine of ten as the last time"),
                _figure(fleet, "changed", changed, f"all different, {size / 1000:.0f} kB each"),
            ]
        finally:
            fleet.close()


def _figure(fleet: Fleet, name: str, reports: list[tuple[str, list[Part]]], what: str) -> Figure:
    began = time.perf_counter()
    with ThreadPoolExecutor(REPORTERS) as reporters:
        for done in [reporters.submit(_send, fleet, node_id, parts) for node_id, parts in reports]:
            done.result()
    rate = len(reports) / (time.perf_counter() - began)
    return Figure(name=f"reports, {name}", what=f"32 reporters, {what}", value=rate, unit="1/s", limit=LIMITS[name])


def _send(fleet: Fleet, node_id: str, parts: list[Part]) -> None:
    """What `PutFacts` does: looked at and read on a snapshot by the store's readers, kept by its writer."""
    now = datetime.now(UTC)
    digest = document_digest({part.name: part.digest for part in parts})

    def prepare(tx: Tx) -> Report:
        needed, report = read_sent(tx, nodes.get_active(tx, node_id), 1, digest, now, parts)
        if report is None:
            raise AssertionError(f"a repeated report is not the last one: {needed}")
        return report

    report = fleet.store.submit_read(prepare).result()
    fleet.store.submit_write(
        lambda tx: accept_facts(tx, nodes.get_active(tx, node_id), report, now, fleet.ids)
    ).result()


if __name__ == "__main__":
    from bench.figures import show

    show(measure())
