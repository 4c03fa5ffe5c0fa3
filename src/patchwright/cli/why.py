"""`patchwright why NODE PATCH`: why a patch is, or is not, on a node."""

import argparse
from collections.abc import Mapping
from typing import Any

from patchwright.cli.exits import NOT_COMPLIANT, OK
from patchwright.cli.nodes import node_id_of
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import as_text, csv_text, json_text, write

NOT_COMPLIANT_STATES = frozenset({"MISSING", "FAILED", "INSTALLED_REJECTED", "INSTALLED_PENDING_REBOOT"})
"""What AWS counts against a node. Source: patch-baselines.md 5."""
COLUMNS = (
    "PATCH", "STATE", "CODE", "INSTALLED", "TARGET", "RULE", "APPROVAL DATE", "LEVEL", "SUMMARY", "REMEDY",
)  # fmt: skip
_MEMBERS = (
    "PatchId", "State", "Code", "InstalledVersion", "TargetVersion", "RuleNumber", "ApprovalDate", "ComplianceLevel",
    "Summary", "Remedy",
)  # fmt: skip
_LABELS = (
    ("code", "Code"),
    ("installed", "InstalledVersion"),
    ("target", "TargetVersion"),
    ("rule", "RuleNumber"),
    ("approval date", "ApprovalDate"),
    ("level", "ComplianceLevel"),
    ("remedy", "Remedy"),
)


def add_why(commands: Any) -> None:
    """Define `why`."""
    parser = add_command(commands, "why", "say why a patch is, or is not, on a node", run_why)
    parser.add_argument("node", metavar="NODE", help="its id, or its name if no other node has it")
    parser.add_argument("patch", metavar="PATCH", help="a package (name or name.arch), a CVE or an advisory")
    add_client_options(parser)


def run_why(args: argparse.Namespace) -> int:
    """Explain; 2 if one of the patches meant counts against the node."""
    client = client_of(args)
    answer = client.call("patchwright", "ExplainPatch", NodeId=node_id_of(client, args.node), Patch=args.patch)
    found = answer.get("Explanations", [])
    if args.output == "json":
        write(json_text(answer))
    elif args.output == "csv":
        write(csv_text(COLUMNS, [[e.get(m) for m in _MEMBERS] for e in found]))
    else:
        write("\n".join(_paragraph(e) for e in found) + _footer(answer))
    return NOT_COMPLIANT if any(e.get("State") in NOT_COMPLIANT_STATES for e in found) else OK


def _paragraph(explanation: Mapping[str, Any]) -> str:
    """State and sentence first, the facts of the decision below."""
    state = as_text(explanation.get("State"))
    summary = as_text(explanation.get("Summary"))
    lines = [f"{state}: {summary}" if state else summary]
    for label, name in _LABELS:
        text = as_text(explanation.get(name))
        if text:
            lines.append(f"  {label + ':':<15}{text}")
    lines += [f"  - {as_text(detail)}" for detail in explanation.get("Details", ())]
    return "\n".join(lines) + "\n"


def _footer(answer: Mapping[str, Any]) -> str:
    baseline = f"baseline {as_text(answer.get('BaselineName'))}"
    collected = as_text(answer.get("FactsCollectedAt"))
    return f"\n{baseline}; packages as reported {collected or 'never'}\n"
