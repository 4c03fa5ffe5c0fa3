"""The patch worker's door: hello, facts, the Plan, the end of a run; and a node's facts after a boot.

The run token says which node, command and step a worker speaks for.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from patchwright.core.errors import Kind, Refused
from patchwright.core.failures import dropped_words
from patchwright.core.nodes import ManagedNode
from patchwright.core.settle import Mode
from patchwright.flows.closures import read_closures
from patchwright.flows.facts_document import Part, Report
from patchwright.flows.fetched_override import Fetched, read_fetched, take_fetched
from patchwright.flows.finish_run import Concluded, conclude, finish_patch_run, read_ending
from patchwright.flows.hooks import step_code
from patchwright.flows.patch_run import forget_booted, note_facts, run_of, start_patch_run
from patchwright.flows.receive_facts import accept_facts, read_sent
from patchwright.flows.run_rules import needs_document
from patchwright.flows.settle_plan import Question, SettleCall, SettledPlan, Step, prepare_step, settle, standing
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import registered
from patchwright.store.runs import PatchRun
from patchwright.wire.credentials import RunToken


def _run_token(ctx: NodeContext) -> RunToken:
    if ctx.run is None:
        raise Refused(Kind.RUN, "This operation is a worker's, which proves itself by its run token.")
    return ctx.run


def _own_run(ctx: NodeContext, request: Request, node: ManagedNode) -> PatchRun:
    token = _run_token(ctx)
    return run_of(ctx.tx, request["RunId"], node.id, token.command_id, token.step)


@door("Patchwright.StartPatchRun", Proof.RUN_TOKEN)
def start(ctx: NodeContext, request: Request, prepared: None) -> Answer:  # noqa: ARG001
    token = _run_token(ctx)
    order = start_patch_run(
        ctx.tx,
        node=registered(ctx),
        command_id=token.command_id,
        step=token.step,
        facts_versions=request["FactsVersions"],
        boot_id=request["BootId"],
        now=ctx.now,
        ids=ctx.ids,
    )
    run, ended = order.run, order.exit_code is not None
    return {
        "RunId": run.id,
        "Operation": run.operation,
        "RebootOption": run.reboot_option,
        "SnapshotId": run.snapshot_id,
        "ServerTime": ctx.now,
        "KnownDigest": order.known_digest,
        "PlanOnly": run.plan_only,
        "Ended": ended,
        "Report": run.report if ended else None,
        "ExitCode": None if order.exit_code is None else step_code(ctx.tx, run, order.exit_code),
        "Plan": _plan_to(order.plan) if order.plan else None,
        "FetchUrl": None if ended else _document_url(run),
    }


def _document_url(run: PatchRun) -> str | None:
    """What the worker has yet to fetch for the run."""
    return (run.baseline_override or run.override_list) if needs_document(run) else None


def _read_override(ctx: NodeContext, request: Request) -> Fetched:
    node = registered(ctx)
    run = _own_run(ctx, request, node)
    return read_fetched(node, run, request.get("Body"), request.get("Problem", ""), request.get("Message", ""))


@door("Patchwright.PutOverride", Proof.RUN_TOKEN, prepare=_read_override)
def put_override(ctx: NodeContext, request: Request, prepared: Fetched) -> Answer:
    """The document of InstallOverrideList or BaselineOverride, or why there is none."""
    run = take_fetched(ctx.tx, _own_run(ctx, request, registered(ctx)), prepared, ctx.now)
    if run.ended_at is None:
        return {"Ended": False}
    return {"Ended": True, "Report": run.report, "ExitCode": step_code(ctx.tx, run, run.exit_code or 0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    needed: list[str]
    report: Report | None


def _read(ctx: NodeContext, request: Request, node: ManagedNode) -> _Sent:
    """Everything about a report that needs no lock: digests, parsing, checking."""
    parts = [Part(name=p["Name"], digest=p["Digest"], body=p.get("Body")) for p in request["Parts"]]
    needed, report = read_sent(ctx.tx, node, request["FactsVersion"], request["Digest"], request["CollectedAt"], parts)
    return _Sent(needed=needed, report=report)


def _read_of_run(ctx: NodeContext, request: Request) -> _Sent:
    node = registered(ctx)
    _own_run(ctx, request, node)
    return _read(ctx, request, node)


def _read_of_node(ctx: NodeContext, request: Request) -> _Sent:
    return _read(ctx, request, registered(ctx))


@door("Patchwright.PutFacts", Proof.RUN_TOKEN, prepare=_read_of_run)
def put_facts(ctx: NodeContext, request: Request, prepared: _Sent) -> Answer:
    if prepared.report is None:
        return {"Accepted": False, "NeedParts": prepared.needed}
    node = registered(ctx)
    run = _own_run(ctx, request, node)
    accept_facts(ctx.tx, node, prepared.report, ctx.now, ctx.ids)
    note_facts(ctx.tx, registered(ctx), run, ctx.now, ctx.ids)
    forget_booted(ctx.tx, node, ctx.now, ctx.ids)
    return {"Accepted": True, "NeedParts": []}


@door("Patchwright.ReportFacts", Proof.NODE_SESSION, prepare=_read_of_node)
def report_facts(ctx: NodeContext, request: Request, prepared: _Sent) -> Answer:  # noqa: ARG001
    """Facts that no command asked for, once after a boot. They are no Scan: what has failed stays failed."""
    if prepared.report is None:
        return {"Accepted": False, "NeedParts": prepared.needed}
    node = registered(ctx)
    accept_facts(ctx.tx, node, prepared.report, ctx.now, ctx.ids)
    forget_booted(ctx.tx, node, ctx.now, ctx.ids)
    return {"Accepted": True, "NeedParts": []}


def _call_of(request: Request) -> SettleCall:
    content = [request.get(name) for name in ("FactsDigest", "Replan", "Mode", "Closures")]
    mode = request.get("Mode")
    return SettleCall(
        facts_digest=request["FactsDigest"],
        replan=request.get("Replan", False),
        mode=Mode(mode) if mode else None,
        closures=read_closures(request.get("Closures", ())),
        digest=hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest(),
    )


def _prepare_step(ctx: NodeContext, request: Request) -> Step:
    node = registered(ctx)
    return prepare_step(ctx.tx, node, _own_run(ctx, request, node), _call_of(request), ctx.now, ctx.apt_delays)


@door("Patchwright.SettlePlan", Proof.RUN_TOKEN, prepare=_prepare_step)
def settle_plan(ctx: NodeContext, request: Request, prepared: Step) -> Answer:
    run = settle(ctx.tx, _own_run(ctx, request, registered(ctx)), prepared, request["FactsDigest"])
    match standing(run, ctx.now):
        case Question(mode=mode, targets=targets):
            rows = [_target_to(t.slot.name, t.slot.arch, t.from_version, t.version) for t in targets]
            return {"State": "RESOLVE", "Mode": mode, "Targets": rows}
        case SettledPlan() as settled:
            return {"State": "SETTLED", "Plan": _plan_to(settled)}
        case None:
            raise AssertionError("a run that may plan has a question or a Plan after each step")


def _target_to(name: str, arch: str, before: str, version: str) -> Answer:
    return {"Name": name, "Arch": arch, "FromVersion": before, "Version": version}


def _plan_to(settled: SettledPlan) -> dict[str, Any]:
    plan = settled.plan
    return {
        "Digest": settled.digest,
        "Items": [
            {
                "Name": i.slot.name,
                "Arch": i.slot.arch,
                "FromVersion": i.from_version,
                "ToVersion": i.to_version,
                "Role": i.role,
            }
            for i in plan.items
        ],
        "Dropped": [
            {
                "Name": d.slot.name,
                "Arch": d.slot.arch,
                "Version": d.version,
                "Code": d.code,
                "BecauseOf": d.because_of,
                "Reason": dropped_words(d),
            }
            for d in plan.dropped
        ],
        "RebootOption": plan.reboot_option,
        "LifetimeSeconds": settled.seconds_left,
    }


def _conclude(ctx: NodeContext, request: Request) -> Concluded:
    node = registered(ctx)
    run = _own_run(ctx, request, node)
    return conclude(ctx.tx, node, run, read_ending(request), ctx.now, ctx.apt_delays)


@door("Patchwright.FinishPatchRun", Proof.RUN_TOKEN, prepare=_conclude)
def finish(ctx: NodeContext, request: Request, prepared: Concluded) -> Answer:
    report, code = finish_patch_run(
        ctx.tx,
        _own_run(ctx, request, registered(ctx)),
        read_ending(request),
        prepared,
        now=ctx.now,
        apt_delays=ctx.apt_delays,
        ids=ctx.ids,
    )
    return {"Report": report, "ExitCode": step_code(ctx.tx, _own_run(ctx, request, registered(ctx)), code)}
