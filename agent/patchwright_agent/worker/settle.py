"""Settling the Plan: the server asks what its targets bring with them, the host's own manager answers.

Source: docs/reference/worker-protocol.md, SettlePlan.
"""

from typing import Any, Callable, Dict, List, Sequence

from patchwright_agent.managers.installer import Installer, Target
from patchwright_agent.worker.plan import Plan, UnusablePlan, closure, parse_plan, parse_targets
from patchwright_agent.worker.server_calls import ServerCalls

TOGETHER, EACH, CUMULATIVE = "TOGETHER", "EACH", "CUMULATIVE"
RESOLVE, SETTLED = "RESOLVE", "SETTLED"
MAX_CALLS = 5  # one to begin with, four answers


def settle(
    calls: ServerCalls,
    installer: Installer,
    run_id: str,
    facts_digest: str,
    replan: bool,
    tell: Callable[[str], None] = str,
) -> Plan:
    """Answer the server's questions until the Plan is settled.

    Raises UnusablePlan, Refused, Unanswered, ManagerError.
    """
    body: Dict[str, Any] = {"RunId": run_id, "FactsDigest": facts_digest, "Replan": replan}
    for _ in range(MAX_CALLS):
        answer = calls.call("SettlePlan", body)
        if answer.get("State") == SETTLED:
            return parse_plan(answer.get("Plan"))
        if answer.get("State") != RESOLVE or answer.get("Mode") not in _ANSWERS:
            raise UnusablePlan("the server asks for something that this agent does not know; update the agent")
        mode = str(answer["Mode"])
        targets = parse_targets(answer.get("Targets"))
        tell("resolving %d targets (%s)" % (len(targets), mode))
        body = {
            "RunId": run_id,
            "FactsDigest": facts_digest,
            "Replan": replan,
            "Mode": mode,
            "Closures": _ANSWERS[mode](installer, targets),
        }
    raise UnusablePlan("the server did not settle a Plan in %d calls" % MAX_CALLS)


def together(installer: Installer, targets: Sequence[Target]) -> List[Dict[str, Any]]:
    """One joint closure."""
    return [closure(None, installer.simulate(targets, targets))]


def each(installer: Installer, targets: Sequence[Target]) -> List[Dict[str, Any]]:
    """A closure per target, alone."""
    return [closure(target, installer.simulate([target], targets)) for target in targets]


def cumulative(installer: Installer, targets: Sequence[Target]) -> List[Dict[str, Any]]:
    """A closure per target together with those before it that fit, then a joint one of all that fit."""
    closures = []
    fitting: List[Target] = []
    for target in targets:
        simulation = installer.simulate([*fitting, target], targets)
        closures.append(closure(target, simulation))
        if not simulation.problem and not simulation.removed:
            fitting.append(target)
    return [*closures, closure(None, installer.simulate(fitting, targets))]


_ANSWERS = {TOGETHER: together, EACH: each, CUMULATIVE: cumulative}
