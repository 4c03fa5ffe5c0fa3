"""Make, change, share and delete the account's own documents. Source: operations.md 2.4."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from patchwright.core.document_content import check_content
from patchwright.core.document_rules import (
    DEFAULT,
    LATEST,
    MAX_DOCUMENTS,
    MAX_VERSIONS,
    check_name,
    shares_after,
)
from patchwright.core.documents import Document
from patchwright.core.errors import AlreadyExists, Invalid, Kind, LimitExceeded, NotFound
from patchwright.core.tags import TaggedType, with_tags
from patchwright.core.values import Scope, Tag
from patchwright.flows.find_document import Found, found_of, version_number
from patchwright.store import documents, tags
from patchwright.store.documents import DocumentHead, DocumentVersion, VersionContent
from patchwright.store.engine import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A text that is to become a version of a document, and what goes with it."""

    text: str
    format: str
    version_name: str | None = None
    display_name: str | None = None
    target_type: str | None = None


def create_document(
    tx: Tx, scope: Scope, name: str, submitted: Submitted, *, type: str, wanted: Sequence[Tag], now: datetime
) -> Found:
    """Keep a new document as version 1, its default.

    Raises Invalid (a reserved name, what `check_content` refuses), AlreadyExists(DOCUMENT), LimitExceeded(DOCUMENT).
    """
    check_name(name)
    first = _checked(submitted, 1, type=type, now=now)
    if documents.find(tx, scope, name) is not None:
        raise AlreadyExists(Kind.DOCUMENT, f"Document with name {name} already exists.", id=name)
    if documents.count(tx, scope) >= MAX_DOCUMENTS:
        raise LimitExceeded(
            Kind.DOCUMENT, f"An account has at most {MAX_DOCUMENTS} documents in a region; none was made."
        )
    put = with_tags((), wanted)
    head = DocumentHead(
        scope=scope, name=name, type=type, default_version=1, latest_version=1, next_version=2, created_at=now
    )
    documents.insert(tx, head, first)
    tags.put(tx, scope, TaggedType.DOCUMENT, name, put)
    return found_of(head, first)


def update_document(tx: Tx, head: DocumentHead, submitted: Submitted, *, selector: str, now: datetime) -> Found:
    """Keep a new version; the default stays what it was. `selector` must mean the latest version.

    Raises Invalid(DOCUMENT_VERSION, DOCUMENT_SCHEMA, …), AlreadyExists(DOCUMENT_CONTENT, DOCUMENT_VERSION_NAME),
    LimitExceeded(DOCUMENT_VERSION).
    """
    if version_number(head, selector) != head.latest_version:
        raise Invalid(
            Kind.DOCUMENT_VERSION,
            f"The document version {selector} is not latest. "
            f"Please provide the latest version to update document {head.name}: {head.latest_version} or {LATEST}.",
        )
    latest = documents.find_version(tx, head, head.latest_version)
    if latest is None:
        raise NotFound(Kind.DOCUMENT_VERSION, f"Document {head.name} has no version {head.latest_version}.")
    if latest.info.schema_version.startswith("1."):
        raise Invalid(
            Kind.DOCUMENT_SCHEMA,
            f"Document {head.name} has schemaVersion {latest.info.schema_version}, which can't be updated: "
            "create a new document.",
        )
    new = _checked(submitted, head.next_version, type=head.type, now=now)
    if new.source == latest.source:
        raise AlreadyExists(
            Kind.DOCUMENT_CONTENT,
            f"The content is that of version {latest.info.version} of document {head.name}, its latest one.",
        )
    if submitted.version_name and documents.find_version_named(tx, head, submitted.version_name) is not None:
        raise AlreadyExists(
            Kind.DOCUMENT_VERSION_NAME,
            f"Document {head.name} has a version named {submitted.version_name} already; nothing was made.",
        )
    if documents.count_versions(tx, head) >= MAX_VERSIONS:
        raise LimitExceeded(
            Kind.DOCUMENT_VERSION,
            f"A document has at most {MAX_VERSIONS} versions: delete some of {head.name}, then try again.",
        )
    documents.add_version(tx, head, new)
    number = new.info.version
    return found_of(replace(head, latest_version=number, next_version=number + 1), new)


def set_default_version(tx: Tx, head: DocumentHead, version: str) -> DocumentVersion:
    """Make an existing version the default. Raises NotFound(DOCUMENT_VERSION)."""
    stored = documents.find_version(tx, head, version_number(head, version))
    if stored is None:
        raise NotFound(
            Kind.DOCUMENT_VERSION, f"Document {head.name} has no version {version[:20]}; nothing was changed."
        )
    documents.set_default(tx, head, stored.info.version)
    return stored.info


def delete_document(tx: Tx, head: DocumentHead, *, selector: str | None, version_name: str | None) -> None:
    """Delete one version, or all when none is named.

    Raises Invalid(DOCUMENT_OPERATION) for the default version and for a document that is shared.
    """
    if documents.shares(tx, head):
        raise Invalid(
            Kind.DOCUMENT_OPERATION,
            f"Document {head.name} is shared: stop sharing it, then delete it. Nothing was deleted.",
        )
    if selector is None and version_name is None:
        documents.delete(tx, head)
        tags.remove_all(tx, head.scope, TaggedType.DOCUMENT, head.name)
        return
    if version_name is not None:
        stored = documents.find_version_named(tx, head, version_name)
    else:
        stored = documents.find_version(tx, head, version_number(head, selector or DEFAULT))
    if stored is None:
        raise NotFound(Kind.DOCUMENT_VERSION, f"Document {head.name} has no version {version_name or selector}.")
    if stored.info.version == head.default_version:
        raise Invalid(
            Kind.DOCUMENT_OPERATION,
            f"Version {stored.info.version} is the default version of document {head.name}: it can't be deleted alone.",
        )
    documents.delete_version(tx, head, stored.info.version)


def change_shares(tx: Tx, head: DocumentHead, *, add: Collection[str], remove: Collection[str], version: str) -> None:
    """Share with accounts, or with `all`, and stop sharing; to remove wins. Raises LimitExceeded(DOCUMENT_SHARE)."""
    before = documents.shares(tx, head)
    elsewhere = [name for name in documents.public_names(tx, head.scope) if name != head.name]
    after = shares_after(before, add, remove, version=version, public_elsewhere=len(elsewhere))
    documents.save_shares(tx, head, before, after)


def _checked(submitted: Submitted, number: int, *, type: str, now: datetime) -> VersionContent:
    content = check_content(submitted.text, format=submitted.format, type=type)
    document = Document(name="", version=str(number), content=content)
    info = DocumentVersion(
        version=number,
        version_name=submitted.version_name,
        display_name=submitted.display_name,
        target_type=submitted.target_type,
        format=submitted.format,
        schema_version=document.schema_version,
        platform_types=document.platform_types,
        created_at=now,
    )
    return VersionContent(info=info, source=submitted.text, content=content)
