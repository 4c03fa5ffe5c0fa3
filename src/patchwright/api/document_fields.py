"""Documents as AWS shows them: description, identifier, version. Source: operations.md 2.4, 2.5."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.api.tagsets import tags_to
from patchwright.core.values import Tag
from patchwright.flows.find_document import Found
from patchwright.store.documents import DocumentHead, DocumentVersion

ACTIVE, CREATING, UPDATING = "Active", "Creating", "Updating"
_LISTS = ("StringList", "MapList")


def description_to(found: Found, tags: Sequence[Tag] = (), *, status: str = ACTIVE) -> dict[str, Any]:
    """A DocumentDescription of one version."""
    document, head, info = found.document, found.head, found.info
    return {
        # The same bytes by the older function: shown because clients read it, trusted for nothing.
        "Sha1": hashlib.sha1(document.text.encode(), usedforsecurity=False).hexdigest(),
        "Hash": document.sha256,
        "HashType": "Sha256",
        "Name": document.name,
        "DisplayName": info.display_name,
        "VersionName": info.version_name,
        "Owner": found.owner,
        "CreatedDate": info.created_at,
        "Status": status,
        "DocumentVersion": str(info.version),
        "Description": document.content.get("description"),
        "Parameters": [_parameter_to(name, definition) for name, definition in document.parameters.items()],
        "PlatformTypes": list(info.platform_types),
        "DocumentType": head.type,
        "SchemaVersion": info.schema_version,
        "LatestVersion": str(head.latest_version),
        "DefaultVersion": str(head.default_version),
        "DocumentFormat": info.format,
        "TargetType": info.target_type,
        "Tags": tags_to(tags),
    }


def _parameter_to(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The enum of types has two; a default is a text, that of a list JSON. Source: operations.md 2.2."""
    shown = {
        "Name": name,
        "Type": "StringList" if definition["type"] in _LISTS else "String",
        "Description": definition.get("description"),
    }
    if "default" in definition:
        default = definition["default"]
        shown["DefaultValue"] = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return shown


def identifier_to(
    name: str, owner: str, head: DocumentHead, info: DocumentVersion, tags: Sequence[Tag]
) -> dict[str, Any]:
    """A DocumentIdentifier: a document with its default version."""
    return {
        "Name": name,
        "CreatedDate": head.created_at,
        "DisplayName": info.display_name,
        "Owner": owner,
        "VersionName": info.version_name,
        "PlatformTypes": list(info.platform_types),
        "DocumentVersion": str(info.version),
        "DocumentType": head.type,
        "SchemaVersion": info.schema_version,
        "DocumentFormat": info.format,
        "TargetType": info.target_type,
        "Tags": tags_to(tags),
    }


def version_to(name: str, head: DocumentHead, info: DocumentVersion) -> dict[str, Any]:
    """A DocumentVersionInfo."""
    return {
        "Name": name,
        "DisplayName": info.display_name,
        "DocumentVersion": str(info.version),
        "VersionName": info.version_name,
        "CreatedDate": info.created_at,
        "IsDefaultVersion": info.version == head.default_version,
        "DocumentFormat": info.format,
        "Status": ACTIVE,
    }
