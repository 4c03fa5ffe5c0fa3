"""Which document a request means: a built-in one, the account's own, or one that another account shares.

Source: operations.md 2.4, 2.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.core.builtin_documents import BUILTIN, BUILTIN_CREATED_AT
from patchwright.core.document_rules import DEFAULT, LATEST, DocumentRef, arn_of, parse_ref
from patchwright.core.documents import Document
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.tags import TaggedType
from patchwright.core.values import Scope
from patchwright.store import documents, tags
from patchwright.store.documents import DocumentHead, DocumentVersion, Shared, VersionContent
from patchwright.store.engine import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A document by its owner and name, whether it exists or not: what a policy is asked about."""

    ref: DocumentRef
    arn: str
    builtin: bool
    owner: str
    """The account, or the vendor's name for a built-in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One version of a document as it is shown, and its content."""

    owner: str
    head: DocumentHead
    info: DocumentVersion
    document: Document


def locate(scope: Scope, text: str) -> Located:
    """Whose document `text` (a name or an ARN) means. Raises NotFound(DOCUMENT) for what is neither.

    The vendor's own are the same in every region, so scripts may name any; others are of one region.
    """
    ref = parse_ref(text)
    if ref is None:
        raise missing(text)
    if ref.account == "" or (ref.account is None and ref.name in BUILTIN):
        owner = BUILTIN[ref.name].owner if ref.name in BUILTIN else "Amazon"
        return Located(ref=ref, arn=arn_of(scope, ref.name, builtin=True), builtin=True, owner=owner)
    if ref.region not in (None, scope.region):
        raise missing(text)
    owner = ref.account or scope.account
    arn = arn_of(Scope(account=owner, region=scope.region), ref.name)
    return Located(ref=ref, arn=arn, builtin=False, owner=owner)


def command_name(scope: Scope, text: str) -> str:
    """The name under which commands of that document are kept; a text that names none fits none."""
    try:
        located = locate(scope, text)
    except NotFound:
        return text
    return located.ref.name if located.builtin or located.owner == scope.account else located.arn


def tags_of(tx: Tx, scope: Scope, located: Located) -> Mapping[str, str]:
    """The tags that a policy may ask for: those of the account's own documents."""
    if located.builtin or located.owner != scope.account:
        return {}
    return {tag.key: tag.value for tag in tags.of(tx, scope, TaggedType.DOCUMENT, located.ref.name)}


def own_document(tx: Tx, scope: Scope, located: Located) -> DocumentHead:
    """A document that the account may change. Raises NotFound(DOCUMENT), Invalid(DOCUMENT_OPERATION) for a built-in."""
    if located.builtin:
        if located.ref.name not in BUILTIN:
            raise missing(located.ref.name)
        raise Invalid(
            Kind.DOCUMENT_OPERATION,
            f"Document {located.ref.name} belongs to {located.owner}: it can't be changed, shared or deleted.",
        )
    head = documents.find(tx, scope, located.ref.name) if located.owner == scope.account else None
    if head is None:
        raise missing(located.ref.name)
    return head


def find_document(
    tx: Tx, scope: Scope, located: Located, *, selector: str | None = None, version_name: str | None = None
) -> Found:
    """The version that `selector` ($DEFAULT, $LATEST, a number; None: the default) or `version_name` means.

    Raises NotFound(DOCUMENT) or NotFound(DOCUMENT_VERSION).
    """
    if located.builtin:
        return _builtin(scope, located, selector, version_name)
    if located.owner == scope.account:
        head = documents.find(tx, scope, located.ref.name)
        if head is None:
            raise missing(located.ref.name)
        stored = _version(tx, head, selector or DEFAULT, version_name)
        return found_of(head, stored)
    found = documents.shared_with(tx, scope, name=located.ref.name, owner=located.owner)
    if not found:
        raise missing(located.ref.name)
    head = found[0].head
    stored = _version(tx, head, selector or _offered(found[0]), version_name)
    if not _is_shared(found[0], stored.info.version):
        raise _missing_version(head.name, str(stored.info.version))
    # Under its ARN, so that nobody's document is ever taken for a built-in or for one's own.
    return found_of(head, stored, name=located.arn)


def builtin_found(scope: Scope, document: Document) -> Found:
    """A built-in document in the form of the others."""
    number = int(document.version)
    head = DocumentHead(
        scope=scope,
        name=document.name,
        type=document.type,
        default_version=number,
        latest_version=number,
        next_version=number + 1,
        created_at=BUILTIN_CREATED_AT,
    )
    info = DocumentVersion(
        version=number,
        version_name=None,
        display_name=None,
        target_type=None,
        format=document.format,
        schema_version=document.schema_version,
        platform_types=document.platform_types,
        created_at=BUILTIN_CREATED_AT,
    )
    return Found(owner=document.owner, head=head, info=info, document=document)


def missing(name: str) -> NotFound:
    return NotFound(Kind.DOCUMENT, f"Document with name {name[:128]} does not exist.", id=name[:128])


def _missing_version(name: str, version: str) -> NotFound:
    return NotFound(Kind.DOCUMENT_VERSION, f"Document {name} has no version {version[:128]}.", id=name)


def _builtin(scope: Scope, located: Located, selector: str | None, version_name: str | None) -> Found:
    document = BUILTIN.get(located.ref.name)
    if document is None:
        raise missing(located.ref.name)
    if version_name is not None or selector not in (None, "", DEFAULT, LATEST, document.version):
        raise _missing_version(document.name, version_name or str(selector))
    return builtin_found(scope, document)


def _version(tx: Tx, head: DocumentHead, selector: str, version_name: str | None) -> VersionContent:
    """By name when one is given, else by selector; given both, they must be one."""
    named = None
    if version_name is not None:
        named = documents.find_version_named(tx, head, version_name)
        if named is None:
            raise _missing_version(head.name, version_name)
        if selector == DEFAULT:
            return named
    stored = documents.find_version(tx, head, version_number(head, selector))
    if stored is None or (named is not None and named.info.version != stored.info.version):
        raise _missing_version(head.name, selector)
    return stored


def version_number(head: DocumentHead, selector: str) -> int:
    """$DEFAULT, $LATEST or digits -> a number, whether such a version exists or not."""
    if selector == DEFAULT:
        return head.default_version
    if selector == LATEST:
        return head.latest_version
    return int(selector) if len(selector) < 9 and selector.isascii() and selector.isdigit() else 0


def _offered(shared: Shared) -> str:
    """What somebody else's document means where no version is named: its default, if that is shared."""
    return LATEST if shared.versions == {LATEST} else DEFAULT


def _is_shared(shared: Shared, version: int) -> bool:
    head = shared.head
    return (
        "$ALL" in shared.versions
        or (DEFAULT in shared.versions and version == head.default_version)
        or (LATEST in shared.versions and version == head.latest_version)
    )


def found_of(head: DocumentHead, stored: VersionContent, *, name: str | None = None) -> Found:
    """A stored version as it is shown; `name` other than the head's for another account's document."""
    document = Document(
        name=name or head.name,
        version=str(stored.info.version),
        content=stored.content,
        owner=head.scope.account,
        type=head.type,
        format=stored.info.format,
        source=stored.source,
    )
    return Found(owner=head.scope.account, head=head, info=stored.info, document=document)
