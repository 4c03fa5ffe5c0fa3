"""A managed node as AWS's InstanceInformation."""

from datetime import datetime
from typing import Any

from patchwright.core.nodes import ManagedNode, is_online

ONLINE, LOST = "Online", "ConnectionLost"


def ping_status(node: ManagedNode, now: datetime) -> str:
    """`Online` or `ConnectionLost`; `Inactive` is never answered. Source: operations.md 7.3."""
    return ONLINE if is_online(node.last_ping_at, now) else LOST


def node_to(node: ManagedNode, now: datetime) -> dict[str, Any]:
    """The members that are known."""
    return {
        "InstanceId": node.id,
        "PingStatus": ping_status(node, now),
        "LastPingDateTime": node.last_ping_at or node.registered_at,
        "AgentVersion": node.agent_version,
        "IsLatestVersion": True,
        "PlatformType": node.platform_type,
        "PlatformName": node.platform_name,
        "PlatformVersion": node.platform_version,
        "ActivationId": node.activation_id,
        "IamRole": node.iam_role,
        "RegistrationDate": node.registered_at,
        "ResourceType": "ManagedInstance",
        "Name": node.name,
        "IPAddress": node.ip_address,
        "ComputerName": node.computer_name,
        "SourceId": node.id,
        "SourceType": "AWS::SSM::ManagedInstance",
    }
