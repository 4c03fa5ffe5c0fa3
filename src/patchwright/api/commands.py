"""Run Command: sending, cancelling, listing commands and reading their results. Source: operations.md 3."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from patchwright.api.command_fields import command_to, invocation_to, step_to
from patchwright.api.context import Answer, Context, Request
from patchwright.api.nested_access import require_nested
from patchwright.api.registry import registry
from patchwright.core.commands import Command
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.tags import TaggedType
from patchwright.core.targets import targets_from
from patchwright.core.values import Scope
from patchwright.flows.cancel_command import cancel_command, cancellable
from patchwright.flows.find_document import command_name, find_document, locate, tags_of
from patchwright.flows.send_command import check_document, select_nodes, send_command
from patchwright.store import commands, tags
from patchwright.store.columns import to_micros
from patchwright.store.commands import CommandFilter

MAX_PAGE = 50
_STAGES = ("Executing", "Complete")
_COMMAND_STATUSES = frozenset(
    {
        "Pending",
        "InProgress",
        "Success",
        "Cancelled",
        "Failed",
        "TimedOut",
        "Cancelling",
        "AccessDenied",
        "DeliveryTimedOut",
        "ExecutionTimedOut",
        "Incomplete",
        "NoInstancesInTag",
        "LimitExceeded",
    }
)
_INVOCATION_STATUSES = frozenset(
    {
        "Pending",
        "InProgress",
        "Delayed",
        "Success",
        "Cancelled",
        "Failed",
        "TimedOut",
        "Cancelling",
        "AccessDenied",
        "DeliveryTimedOut",
        "ExecutionTimedOut",
        "Undeliverable",
        "InvalidPlatform",
        "Terminated",
    }
)


@registry.serves("SendCommand")
def send(ctx: Context, req: Request) -> Answer:
    """Make a command; its invocations can be read before this answers."""
    if req.get("DocumentHash") and req.get("DocumentHashType", "Sha256") != "Sha256":
        raise Invalid(Kind.REQUEST, "DocumentHashType must be Sha256: Sha1 protects nothing any more.")
    located = locate(ctx.scope, req["DocumentName"])
    ctx.require(located.arn, tags_of(ctx.tx, ctx.scope, located))
    document = find_document(ctx.tx, ctx.scope, located, selector=req.get("DocumentVersion")).document
    check_document(document, sha256=req.get("DocumentHash") or None)
    require_nested(ctx, document, req.get("Parameters", {}))
    chosen = select_nodes(
        ctx.tx, ctx.scope, node_ids=req.get("InstanceIds", ()), targets=targets_from(req.get("Targets", ()))
    )
    _require_nodes(ctx, [n.id for n in chosen])
    command = send_command(
        ctx.tx,
        ctx.scope,
        document=document,
        request=_kept(req),
        chosen=chosen,
        requested_by=ctx.principal.arn,
        now=ctx.now,
        ids=ctx.ids,
        fast_start=ctx.service.fast_start,
    )
    return {"Command": command_to(command, fresh=True)}


def _require_nodes(ctx: Context, node_ids: Sequence[str]) -> None:
    tagged = tags.of_many(ctx.tx, ctx.scope, TaggedType.MANAGED_INSTANCE, node_ids)
    for node_id in node_ids:
        own = {t.key: t.value for t in tagged.get(node_id, ())}
        ctx.require(ctx.arn(f"managed-instance/{node_id}"), own)


@registry.serves("CancelCommand")
def cancel(ctx: Context, req: Request) -> Answer:
    """Cancel a command, or its invocations on the nodes named: at once where nothing was sent, else by the node."""
    command = commands.get(ctx.tx, req["CommandId"], scope=ctx.scope)
    named = req.get("InstanceIds", ())
    chosen = cancellable(ctx.tx, command, named)
    # A cancel that changes nothing is still one of the command: allowed to whom it would be, were it open.
    _require_nodes(ctx, list(named) or [i.node_id for i in chosen] or commands.node_ids(ctx.tx, command.id))
    cancel_command(ctx.tx, command, chosen, whole=not named, now=ctx.now)
    return {}


def _kept(req: Request) -> dict[str, Any]:
    """The request as it is kept: plain JSON, without what only this call needed."""
    return {k: v for k, v in req.items() if k not in ("DocumentName", "DocumentHash", "DocumentHashType")}


@registry.serves("ListCommands", reads=True)
def list_commands(ctx: Context, req: Request) -> Answer:
    """Commands of this account and region, newest first."""
    ctx.require("*")
    wanted = _filter_from(ctx.scope, req, _COMMAND_STATUSES, stages=True)
    if req.get("InstanceId") and "Pending" in (wanted.statuses or ()):
        raise Invalid(Kind.REQUEST, "InstanceId can't be combined with the filter Status=Pending.")
    limit = req.get("MaxResults", MAX_PAGE)
    place = ctx.cursor(req)
    found = commands.page(ctx.tx, ctx.scope, wanted, before=(place[0], place[1]) if place else None, limit=limit + 1)
    page = found[:limit]
    more = [to_micros(page[-1].requested_at), page[-1].id] if len(found) > limit else None
    return {"Commands": [command_to(c) for c in page], "NextToken": ctx.page(req, more)}


@registry.serves("ListCommandInvocations", reads=True)
def list_command_invocations(ctx: Context, req: Request) -> Answer:
    """Invocations, newest command first; an unknown command id gives an empty list, as the managed service does."""
    ctx.require("*")
    wanted = _filter_from(ctx.scope, req, _INVOCATION_STATUSES, stages=False)
    limit = req.get("MaxResults", MAX_PAGE)
    place = ctx.cursor(req)
    found = commands.invocation_page(
        ctx.tx, ctx.scope, wanted, before=(place[0], place[1], place[2]) if place else None, limit=limit + 1
    )
    page = found[:limit]
    details = req.get("Details", False)
    answers = [invocation_to(i, c, commands.steps(ctx.tx, c.id, i.node_id) if details else None) for i, c in page]
    more = None
    if len(found) > limit:
        last, command = page[-1]
        more = [to_micros(command.requested_at), command.id, last.node_id]
    return {"CommandInvocations": answers, "NextToken": ctx.page(req, more)}


@registry.serves("GetCommandInvocation", reads=True, short=True)
def get_command_invocation(ctx: Context, req: Request) -> Answer:
    """One step of one invocation. PluginName may be left out for a document of one step."""
    ctx.require("*")
    command = commands.get(ctx.tx, req["CommandId"], scope=ctx.scope)
    invocation = commands.find_invocation(ctx.tx, command.id, req["InstanceId"])
    if invocation is None:
        raise NotFound(
            Kind.INVOCATION, f"Command {command.id} has no invocation on {req['InstanceId']}.", id=command.id
        )
    steps = commands.steps(ctx.tx, command.id, invocation.node_id)
    return step_to(invocation, command, _chosen(command, steps, req.get("PluginName")))


def _chosen(command: Command, steps: list[Any], name: str | None) -> Any:
    names = [s.name for s in steps]
    if name is None and len(steps) == 1:
        return steps[0]
    if name is None:
        raise Invalid(
            Kind.INVOCATION,
            f"Document {command.document_name} has more than one step: give PluginName, one of {', '.join(names)}.",
        )
    named = [s for s in steps if s.name == name] or [s for s in steps if s.plugin == name]
    if len(named) == 1:
        return named[0]
    raise Invalid(Kind.INVOCATION, f"'{name[:100]}' is not a step of the command: {', '.join(names)}.")


def _filter_from(scope: Scope, req: Request, statuses: frozenset[str], *, stages: bool) -> CommandFilter:
    """CommandFilters [{key, value}] -> what the store selects by. Raises Invalid for unknown keys and values."""
    values: dict[str, Any] = {"command_id": req.get("CommandId"), "node_id": req.get("InstanceId")}
    for entry in req.get("Filters", ()):
        key, value = entry["key"], entry["value"]
        match key:
            case "InvokedAfter":
                values["after"] = _instant(key, value)
            case "InvokedBefore":
                values["before"] = _instant(key, value)
            case "DocumentName":
                values["document_name"] = command_name(scope, value)
            case "Status":
                chosen = value.replace(" ", "")
                if chosen not in statuses:
                    raise _not_a_value(key, value, sorted(statuses))
                values["statuses"] = (*values.get("statuses", ()), chosen)
            case "ExecutionStage" if stages:
                if value not in _STAGES:
                    raise _not_a_value(key, value, _STAGES)
                values["open"] = value == "Executing"
            case _:
                raise Invalid(Kind.FILTER, f"The filter key '{key}' is not valid here.")
    return CommandFilter(**values)


def _not_a_value(key: str, value: str, allowed: Sequence[str]) -> Invalid:
    return Invalid(Kind.FILTER, f"'{value[:100]}' is not a value of {key}: {', '.join(allowed)}.")


def _instant(key: str, text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as wrong:
        said = f"{key}: '{text[:40]}' is not an ISO 8601 time such as 2030-01-02T03:04:05Z."
        raise Invalid(Kind.FILTER, said) from wrong
