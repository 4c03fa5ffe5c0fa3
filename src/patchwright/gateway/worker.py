"""The patch worker's door: hello, facts, the end of a run. The run token says which node, command and step."""

from dataclasses import dataclass

from patchwright.core.errors import Kind, Refused
from patchwright.core.nodes import ManagedNode
from patchwright.flows.facts_document import Part, Report, check_parts, read_report
from patchwright.flows.judge_node import JudgedNode, judge_node
from patchwright.flows.patch_run import finish_patch_run, note_facts, run_of, start_patch_run
from patchwright.flows.receive_facts import accept_facts, family_of, needed_parts
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
        now=ctx.now,
        ids=ctx.ids,
    )
    run = order.run
    return {
        "RunId": run.id,
        "Operation": run.operation,
        "RebootOption": run.reboot_option,
        "SnapshotId": run.snapshot_id,
        "ServerTime": ctx.now,
        "KnownDigest": order.known_digest,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    needed: list[str]
    report: Report | None


def _read(ctx: NodeContext, request: Request) -> _Sent:
    """Everything about a report that needs no lock: digests, parsing, checking."""
    node = registered(ctx)
    _own_run(ctx, request, node)
    parts = [Part(name=p["Name"], digest=p["Digest"], body=p.get("Body")) for p in request["Parts"]]
    check_parts(request["FactsVersion"], request["Digest"], parts)
    needed = needed_parts(ctx.tx, node, parts)
    if set(needed) - {p.name for p in parts if p.body is not None}:
        return _Sent(needed=needed, report=None)
    report = read_report(
        request["FactsVersion"], request["Digest"], request["CollectedAt"], parts, family_of(ctx.tx, node)
    )
    return _Sent(needed=[], report=report)


@door("Patchwright.PutFacts", Proof.RUN_TOKEN, prepare=_read)
def put_facts(ctx: NodeContext, request: Request, prepared: _Sent) -> Answer:
    if prepared.report is None:
        return {"Accepted": False, "NeedParts": prepared.needed}
    node = registered(ctx)
    run = _own_run(ctx, request, node)
    accept_facts(ctx.tx, node, prepared.report, ctx.now, ctx.ids)
    note_facts(ctx.tx, run, ctx.now, ctx.ids)
    return {"Accepted": True, "NeedParts": []}


def _judge(ctx: NodeContext, request: Request) -> JudgedNode:  # noqa: ARG001
    return judge_node(ctx.tx, registered(ctx), ctx.now, ctx.apt_delays)


@door("Patchwright.FinishPatchRun", Proof.RUN_TOKEN, prepare=_judge)
def finish(ctx: NodeContext, request: Request, prepared: JudgedNode) -> Answer:
    run = _own_run(ctx, request, registered(ctx))
    report, code = finish_patch_run(
        ctx.tx,
        run,
        prepared,
        exit_code=request["ExitCode"],
        message=request.get("Message", ""),
        now=ctx.now,
    )
    return {"Report": report, "ExitCode": code}
