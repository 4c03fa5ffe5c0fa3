"""Managed nodes: DescribeInstanceInformation, DeregisterManagedInstance. Source: operations.md 7.3."""

from collections.abc import Callable

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_fields import LOST, ONLINE, node_to
from patchwright.api.registry import registry
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.tags import TaggedType
from patchwright.flows.register_node import deregister_node
from patchwright.store import nodes, tags
from patchwright.store.nodes import NodeFilter

DEFAULT_PAGE = 10


@registry.serves("DescribeInstanceInformation", reads=True)
def describe_instance_information(ctx: Context, req: Request) -> Answer:
    """Registered nodes in id order."""
    ctx.require("*")
    filters = _filters_from(req)
    _check_named(ctx, req)
    limit = req.get("MaxResults", DEFAULT_PAGE)
    found = nodes.page(ctx.tx, ctx.scope, filters=filters, after=ctx.cursor(req) or "", limit=limit + 1, now=ctx.now)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return {"InstanceInformationList": [node_to(n, ctx.now) for n in page], "NextToken": ctx.page(req, more)}


@registry.serves("DeregisterManagedInstance")
def deregister_managed_instance(ctx: Context, req: Request) -> Answer:
    """End a node for good. Its pending invocations become Undeliverable."""
    node_id = req["InstanceId"]
    own = {t.key: t.value for t in tags.of(ctx.tx, ctx.scope, TaggedType.MANAGED_INSTANCE, node_id)}
    ctx.require(ctx.arn(f"managed-instance/{node_id}"), own)
    deregister_node(ctx.tx, ctx.scope, node_id, ctx.now)
    return {}


_PLAIN: dict[str, Callable[[tuple[str, ...]], NodeFilter]] = {
    "ActivationIds": lambda v: NodeFilter(activation_ids=v),
    "AgentVersion": lambda v: NodeFilter(agent_versions=v),
    "IamRole": lambda v: NodeFilter(iam_roles=v),
    "InstanceIds": lambda v: NodeFilter(ids=v),
    "PlatformType": lambda v: NodeFilter(platform_types=v),
    "PlatformTypes": lambda v: NodeFilter(platform_types=v),
    "SourceIds": lambda v: NodeFilter(ids=v),
}
_RESOURCE_TYPES = ("EC2Instance", "ManagedInstance")
_SOURCE_TYPE = "AWS::SSM::ManagedInstance"
_NEVER = NodeFilter(ids=())


def _filters_from(req: Request) -> tuple[NodeFilter, ...]:
    """Filters of either form; both together, or a tag filter beside another key, are refused."""
    modern, legacy = req.get("Filters"), req.get("InstanceInformationFilterList")
    if modern and legacy:
        raise Invalid(Kind.REQUEST, "Filters and InstanceInformationFilterList can't be used together.")
    pairs = [(f["Key"], tuple(f["Values"])) for f in modern or ()]
    pairs += [(f["key"], tuple(f["valueSet"])) for f in legacy or ()]
    tagged = [key for key, _ in pairs if key.startswith("tag:") or key == "tag-key"]
    if tagged and len(tagged) != len(pairs):
        raise Invalid(Kind.REQUEST, "Tag filters can't be combined with other filters.")
    return tuple(_filter(key, values) for key, values in pairs)


def _filter(key: str, values: tuple[str, ...]) -> NodeFilter:
    if key in _PLAIN:
        return _PLAIN[key](values)
    if key == "PingStatus":
        _known(key, values, (ONLINE, LOST, "Inactive"))
        return NodeFilter(online=frozenset({value == ONLINE for value in values if value != "Inactive"}))
    if key == "ResourceType":
        _known(key, values, _RESOURCE_TYPES)
        return NodeFilter() if "ManagedInstance" in values else _NEVER
    if key == "SourceTypes":
        return NodeFilter() if _SOURCE_TYPE in values else _NEVER
    if key == "AssociationStatus":
        # No node has an association before there are associations.
        return _NEVER
    if key == "tag-key":
        return NodeFilter(tag_keys=values)
    if key.startswith("tag:") and len(key) > len("tag:"):
        return NodeFilter(tag=key[len("tag:") :], tag_values=values)
    raise Invalid(Kind.FILTER, f"The filter key '{key[:128]}' is not valid.")


def _known(key: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for value in values:
        if value not in allowed:
            raise Invalid(Kind.FILTER_VALUE, f"'{value[:100]}' is not a value of {key}: {', '.join(allowed)}.")


def _check_named(ctx: Context, req: Request) -> None:
    """An unknown explicit id is an error, not an empty answer."""
    named = [v for f in req.get("Filters", ()) if f["Key"] == "InstanceIds" for v in f["Values"]]
    legacy = req.get("InstanceInformationFilterList", ())
    named += [v for f in legacy if f["key"] == "InstanceIds" for v in f["valueSet"]]
    known = {n.id for n in nodes.get_many(ctx.tx, ctx.scope, named)} if named else set()
    absent = sorted(set(named) - known)
    if absent:
        raise NotFound(
            Kind.NODE, f"Instances [[{', '.join(absent)}]] not in a valid state for account {ctx.scope.account}"
        )
