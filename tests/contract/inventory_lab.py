"""Items as nodes put them, and what contract tests ask of inventory."""

from typing import Any

from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet

AT = "2030-01-02T03:04:05Z"
APPLICATION = "AWS:Application"


def item(type_name: str, rows: list[dict[str, str]] | None, **more: Any) -> dict[str, Any]:
    """An item as PutInventory takes it; without rows it has its hash alone."""
    version = "1.1" if type_name == APPLICATION else "1.0"
    content = {} if rows is None else {"Content": rows}
    return {"TypeName": type_name, "SchemaVersion": version, "CaptureTime": AT, **content, **more}


def app(name: str, version: str = "1.0", **more: str) -> dict[str, str]:
    """A row of AWS:Application."""
    return {"Name": name, "Version": version, "Architecture": "amd64", **more}


def put(node: Node, *items: dict[str, Any]) -> dict[str, Any]:
    """As the node itself does it."""
    return node.ssm("PutInventory", {"InstanceId": node.id, "Items": list(items)})


def by(key: str, *values: str, how: str = "Equal") -> dict[str, Any]:
    """A filter."""
    return {"Key": key, "Values": list(values), "Type": how}


def who(fleet: Fleet, *filters: dict[str, Any], type_name: str = "AWS:InstanceInformation") -> list[str]:
    """The nodes that fulfil the filters and have the type, through all pages."""
    wanted: dict[str, Any] = {"ResultAttributes": [{"TypeName": type_name}]}
    if filters:
        wanted["Filters"] = list(filters)
    pages = fleet.ssm.get_paginator("get_inventory").paginate(**wanted)
    return [entity["Id"] for page in pages for entity in page["Entities"]]


def entries(fleet: Fleet, node: Node, type_name: str = APPLICATION, **more: Any) -> list[dict[str, str]]:
    """The rows of one type of one node, through all pages."""
    found: list[dict[str, str]] = []
    token: dict[str, str] = {}
    while True:
        page = fleet.ssm.list_inventory_entries(InstanceId=node.id, TypeName=type_name, **more, **token)
        found += page["Entries"]
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


def count(fleet: Fleet, *aggregators: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The rows of each count."""
    entities = fleet.ssm.get_inventory(Aggregators=list(aggregators), **more)["Entities"]
    return [item["Content"] for entity in entities for item in entity["Data"].values()]
