"""Registration, role tokens, heartbeat. Source: agent-protocol.md 4 and 5."""

import base64
import binascii
from datetime import timedelta
from typing import Any

from patchwright.core.errors import Invalid, Kind, NotFound, Refused
from patchwright.core.nodes import ManagedNode, is_online, is_quiet
from patchwright.flows.register_node import register_node
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.store import nodes
from patchwright.wire.credentials import RANDOM_BYTES
from patchwright.wire.node_signature import UnusableKeyError, load_public_key

LIFETIME = timedelta(hours=1)
"""A node asks again at half of it."""


def registered(ctx: NodeContext) -> ManagedNode:
    """The calling node. Raises Refused once it is deregistered, which makes the real agent wait half an hour."""
    try:
        return nodes.get_active(ctx.tx, ctx.node_id)
    except NotFound as gone:
        raise Refused(Kind.NODE, "This node is not registered here any more.", id=ctx.node_id) from gone


def own(ctx: NodeContext, request: Request, member: str) -> ManagedNode:
    """The calling node, when it speaks of itself. Raises Refused otherwise."""
    node = registered(ctx)
    if request.get(member) not in (None, "", node.id):
        raise Refused(Kind.NODE, "A node may only speak of itself.", id=node.id)
    return node


@door("AmazonSSM.RegisterManagedInstance", Proof.NOTHING)
def register_managed_instance(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    key = request["PublicKey"]
    _check_key(key)
    node = register_node(
        ctx.tx,
        activation_id=_clean(request["ActivationId"], 64) or "",
        code=request["ActivationCode"],
        public_key=key,
        fingerprint=_clean(request.get("Fingerprint"), 256) or "",
        now=ctx.now,
        ids=ctx.ids,
    )
    return {"InstanceId": node.id}


def _check_key(text: str) -> None:
    try:
        load_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, UnusableKeyError) as wrong:
        raise Invalid(Kind.REQUEST, f"PublicKey can't be used: {wrong}") from wrong


@door("AmazonSSM.RequestManagedInstanceRoleToken", Proof.NODE_KEY)
def request_role_token(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    node = registered(ctx)
    issued = ctx.keys.issue(node.id, ctx.now, LIFETIME, ctx.ids.random(RANDOM_BYTES))
    return {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "TokenExpirationDate": issued.expires_at,
        # Without this member the real agent's credential thread crashes (agent-protocol.md 4.2).
        "UpdateKeyPair": False,
    }


@door("AmazonSSM.UpdateManagedInstancePublicKey", Proof.NODE_KEY)
def update_public_key(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    node = registered(ctx)
    _check_key(request["NewPublicKey"])
    nodes.set_public_key(ctx.tx, node.id, request["NewPublicKey"])
    ctx.tx.wake(f"key:{node.id}")
    return {}


@door("AmazonSSM.UpdateInstanceInformation", Proof.NODE_SESSION)
def update_instance_information(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    node = own(ctx, request, "InstanceId")
    _welcome(ctx, node)
    nodes.touch(
        ctx.tx,
        node.id,
        ctx.now,
        agent_name=_clean(request.get("AgentName"), 64),
        agent_version=_clean(request.get("AgentVersion"), 64),
        platform_type=_clean(request.get("PlatformType"), 16),
        platform_name=_clean(request.get("PlatformName"), 256),
        platform_version=_clean(request.get("PlatformVersion"), 64),
        computer_name=_clean(request.get("ComputerName"), 255),
        ip_address=_clean(request.get("IPAddress"), 64),
        scan_only=request.get("ScanOnly"),
    )
    return {}


def _welcome(ctx: NodeContext, node: ManagedNode) -> None:
    """Commands that gave their slot to others while the node was away queue again."""
    if not is_online(node.last_ping_at, ctx.now):
        ctx.tx.wake("commands")


def note_presence(ctx: NodeContext, node: ManagedNode) -> None:
    """The node takes messages, so it is there, whenever its next heartbeat comes. Source: agent-protocol.md 5."""
    if is_quiet(node.last_ping_at, ctx.now):
        _welcome(ctx, node)
        nodes.touch(ctx.tx, node.id, ctx.now)


@door("AmazonSSM.ListInstanceAssociations", Proof.NODE_SESSION)
def list_instance_associations(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    own(ctx, request, "InstanceId")
    return {"Associations": []}


def _clean(value: object, limit: int) -> str | None:
    """A host's text, bounded and printable; None when there is nothing to say."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value[:limit] if c.isprintable()) or None
