"""activation code -> ManagedNode, and what ends one."""

import logging
from datetime import datetime

from patchwright.core.activations import refusal_of
from patchwright.core.commands import Details
from patchwright.core.errors import Kind, NotFound
from patchwright.core.nodes import ManagedNode
from patchwright.core.tags import TaggedType
from patchwright.core.values import NodeId, Scope
from patchwright.flows.advance_command import settle
from patchwright.flows.ports import Ids
from patchwright.store import activations, commands, compliance_reports, inventory, judgements, nodes, tags
from patchwright.store.engine import Tx

log = logging.getLogger(__name__)


def register_node(
    tx: Tx, *, activation_id: str, code: str, public_key: str, fingerprint: str, now: datetime, ids: Ids
) -> ManagedNode:
    """Make a node of a valid activation; takes one of its registrations in the same transaction.

    Raises NotFound(ACTIVATION) for a wrong pair, an expired or an exhausted activation alike: a stranger is told
    no more. The log says which.
    """
    activation = activations.find(tx, activation_id)
    refusal = refusal_of(activation, code, now)
    if activation is None or refusal is not None or not activations.take_registration(tx, activation.id):
        log.warning("registration refused: activation %s is %s", activation_id[:36], refusal or "exhausted")
        raise NotFound(Kind.ACTIVATION, "The activation is not valid. Ask for a new one.")
    node = ManagedNode(
        id=NodeId(ids.node()),
        scope=activation.scope,
        activation_id=activation.id,
        iam_role=activation.iam_role,
        name=activation.default_instance_name,
        public_key=public_key,
        fingerprint=fingerprint,
        registered_at=now,
    )
    nodes.insert(tx, node)
    if activation.tags:
        tags.put(tx, node.scope, TaggedType.MANAGED_INSTANCE, node.id, activation.tags)
    log.info("node %s registered in account %s region %s", node.id, node.scope.account, node.scope.region)
    return node


def deregister_node(tx: Tx, scope: Scope, node_id: str, now: datetime) -> None:
    """End a node: its tags, inventory and compliance go, and its open invocations become Undeliverable.

    Its id is never reused. Raises NotFound. Source: operations.md 7.3.
    """
    node = nodes.get(tx, scope, node_id)
    for invocation in commands.open_of_node(tx, node.id):
        commands.update_invocation(
            tx,
            invocation.command_id,
            node.id,
            details=Details.UNDELIVERABLE,
            ended_at=now,
            trace="The node was deregistered.",
        )
        settle(tx, invocation.command_id)
    tags.remove_all(tx, scope, TaggedType.MANAGED_INSTANCE, node.id)
    judgements.forget_node(tx, node.id)
    inventory.forget_node(tx, node.id)
    compliance_reports.forget_node(tx, node.id)
    nodes.deregister(tx, node.id, now)
    tx.wake(f"node:{node.id}")
