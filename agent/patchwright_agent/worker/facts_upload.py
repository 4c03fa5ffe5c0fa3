"""Facts on their way to the server: digests first, then the parts that it asks for."""

import json
import os
from typing import Any, Callable, Container, Dict, Optional

from patchwright_agent.managers.model import REFRESH_FAILED
from patchwright_agent.worker import facts, report
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.server_calls import Refused

FACTS_FILE = "facts.json"


def keep(state_dir: str, document: Document) -> None:
    """Leave the facts on the node too. A full disk must not keep them from the server."""
    try:
        report.write_atomically(os.path.join(state_dir, FACTS_FILE), facts.printed(document))
    except OSError as error:
        report.tell("facts.json cannot be written in %s: %s" % (state_dir, error.strerror))


def upload(call: Callable[[Dict[str, Any]], Dict[str, Any]], document: Document) -> None:
    """Send the digests, then the bodies that the server asks for, by `call` (PutFacts of a run, or ReportFacts)."""
    answer = call(_body(document, ()))
    if answer.get("Accepted") is True:
        return
    needed = answer.get("NeedParts") or ()
    if call(_body(document, needed)).get("Accepted") is not True:
        raise Refused("FactsNotAccepted", "the server asks again for parts that it was sent")


def _body(document: Document, needed: Container[str]) -> Dict[str, Any]:
    parts = []
    for part in document.parts:
        entry = {"Name": part.name, "Digest": part.digest}
        parts.append(dict(entry, Body=part.body) if part.name in needed else entry)
    return {
        "FactsVersion": facts.FACTS_VERSION,
        "Digest": document.digest,
        "CollectedAt": document.collected_at,
        "Parts": parts,
    }


def refresh_failure(document: Document) -> Optional[str]:
    """What the facts say of a refresh that failed."""
    for part in document.parts:
        if part.name == "state":
            for problem in json.loads(part.body)["problems"]:
                if problem["code"] == REFRESH_FAILED:
                    return str(problem["message"])
    return None
