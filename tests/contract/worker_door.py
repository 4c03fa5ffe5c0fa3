"""A conforming patch worker for contract tests: a bearer token, plain HTTP, and the digests of what it reports.

Source: the worker's protocol as `docs` describe it.
"""

import hashlib
import json
from typing import Any

from tests.contract.nodes_door import Node, post


class Worker:
    """The patch worker's end: a bearer token and three operations."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.run_id = ""

    def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"Patchwright.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"Bearer {self.token}",
        }
        return post(self.url, headers, json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def start(self, **more: Any) -> dict[str, Any]:
        answer = self.call("StartPatchRun", {"AgentVersion": "0.1.0", "FactsVersions": [1], "BootId": "boot-1", **more})
        self.run_id = answer["RunId"]
        return answer

    def announce(self, parts: dict[str, str], **more: Any) -> dict[str, Any]:
        """The first call: digests alone."""
        return self.put(parts, (), **more)

    def put(self, parts: dict[str, str], bodies: Any = None, **more: Any) -> dict[str, Any]:
        """PutFacts with the bodies named (None: all of them). `more` overrides members of the request."""
        named = parts if bodies is None else bodies
        return self.call("PutFacts", {"RunId": self.run_id, **facts_body(parts, named), **more})

    def report(self, parts: dict[str, str]) -> list[str]:
        """Both calls as the protocol has them; the parts that the server asked for."""
        first = self.announce(parts)
        if first["Accepted"]:
            return []
        needed = list(first["NeedParts"])
        assert self.put(parts, needed) == {"Accepted": True, "NeedParts": []}
        return needed

    def give(self, document: str | None = None, **more: str) -> dict[str, Any]:
        """The document that hello's FetchUrl names; or, by `more`, why there is none."""
        body = {} if document is None else {"Body": document}
        return self.call("PutOverride", {"RunId": self.run_id, **body, **more})

    def finish(self, exit_code: int = 0, message: str = "", **more: Any) -> dict[str, Any]:
        body = {"RunId": self.run_id, "ExitCode": exit_code, "Message": message, "AgentVersion": "0.1.0", **more}
        return self.call("FinishPatchRun", body)

    def ask(self, parts: dict[str, str], **more: Any) -> dict[str, Any]:
        """One SettlePlan call on the facts that were reported."""
        return self.call("SettlePlan", {"RunId": self.run_id, "FactsDigest": document_digest(parts), **more})

    def settle(self, parts: dict[str, str], manager: "Manager | None" = None, **more: Any) -> dict[str, Any]:
        """Answer every question as `manager` does; the Plan."""
        manager = manager or Manager()
        answer = self.ask(parts, **more)
        questions = 0
        while answer["State"] == "RESOLVE":
            questions += 1
            assert questions <= 4
            manager.asked.append((answer["Mode"], [t["Name"] for t in answer["Targets"]]))
            closures = manager.answer(answer["Mode"], answer["Targets"])
            answer = self.ask(parts, Mode=answer["Mode"], Closures=closures, **more)
        return dict(answer["Plan"])


class Manager:
    """A package manager's simulation: `brings` are further changes by target's name, `problems` what it can't do."""

    def __init__(
        self, brings: dict[str, list[dict[str, str]]] | None = None, problems: dict[str, str] | None = None
    ) -> None:
        self.brings = brings or {}
        self.problems = problems or {}
        self.asked: list[tuple[str, list[str]]] = []

    def answer(self, mode: str, targets: list[dict[str, str]]) -> list[dict[str, Any]]:
        if mode == "TOGETHER":
            return [self.simulate(targets)]
        if mode == "EACH":
            return [self.of(t, [t]) for t in targets]
        fitting: list[dict[str, str]] = []
        closures = []
        for target in targets:
            closures.append(self.of(target, [*fitting, target]))
            if "Problem" not in closures[-1]:
                fitting.append(target)
        return [*closures, self.simulate(fitting)]

    def of(self, target: dict[str, str], targets: list[dict[str, str]]) -> dict[str, Any]:
        return {**{k: target[k] for k in ("Name", "Arch", "Version")}, **self.simulate(targets)}

    def simulate(self, targets: list[dict[str, str]]) -> dict[str, Any]:
        incoming = [dict(t) for t in targets]
        incoming += [change for t in targets for change in self.brings.get(t["Name"], [])]
        problem = next((self.problems[t["Name"]] for t in targets if t["Name"] in self.problems), "")
        return {"Incoming": incoming, "Removed": [], **({"Problem": problem} if problem else {})}


def facts_body(parts: dict[str, str], named: Any = ()) -> dict[str, Any]:
    """ReportFacts' request; PutFacts' but for its run. Bodies of the parts `named`."""
    rows = [
        {"Name": n, "Digest": digest_of(text), **({"Body": text} if n in named else {})}
        for n, text in sorted(parts.items())
    ]
    return {"FactsVersion": 1, "Digest": document_digest(parts), "CollectedAt": 1767225600.1, "Parts": rows}


def report_facts(node: Node, parts: dict[str, str]) -> list[str]:
    """Both calls of a node that reports its facts without a run; the parts that the server asked for."""
    first = node.patchwright("ReportFacts", facts_body(parts))
    if first["Accepted"]:
        return []
    needed = list(first["NeedParts"])
    assert node.patchwright("ReportFacts", facts_body(parts, needed)) == {"Accepted": True, "NeedParts": []}
    return needed


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def document_digest(parts: dict[str, str]) -> str:
    lines = "".join(f"{name}:{digest_of(text)}\n" for name, text in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
