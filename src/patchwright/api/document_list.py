"""ListDocuments: the vendor's, one's own, and those that others share; by name. Source: operations.md 2.5."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.document_fields import identifier_to
from patchwright.api.registry import registry
from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.document_rules import arn_of
from patchwright.core.documents import PLATFORMS
from patchwright.core.errors import Invalid, Kind
from patchwright.core.tags import TaggedType
from patchwright.core.values import Tag
from patchwright.flows.find_document import builtin_found
from patchwright.store import documents, tags
from patchwright.store.documents import DocumentHead, DocumentVersion

MAX_PAGE = 50
OWNERS = ("Amazon", "Private", "Public", "Self", "ThirdParty")
KEYS = ("Name", "Owner", "PlatformTypes", "DocumentType", "TargetType", "SearchKeyword", "tag:<key>")
_LEGACY_KEYS = ("Name", "Owner", "PlatformTypes", "DocumentType")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A document as the list knows it. `owners`: the values of the filter Owner that it fits."""

    name: str
    owner: str
    owners: frozenset[str]
    head: DocumentHead
    info: DocumentVersion
    tags: tuple[Tag, ...] = ()


@registry.serves("ListDocuments", reads=True)
def list_documents(ctx: Context, req: Request) -> Answer:
    """By name, code point by code point; another account's under its ARN."""
    ctx.require("*")
    filters = _filters_from(req)
    after = ctx.cursor(req)
    found = [
        listed
        for listed in sorted(_visible(ctx), key=lambda one: one.name)
        if (after is None or listed.name > after) and all(test(listed) for test in filters)
    ]
    limit = req.get("MaxResults", MAX_PAGE)
    page = found[:limit]
    return {
        "DocumentIdentifiers": [identifier_to(d.name, d.owner, d.head, d.info, d.tags) for d in page],
        "NextToken": ctx.page(req, page[-1].name if len(found) > limit else None),
    }


def _visible(ctx: Context) -> list[_Listed]:
    own = documents.all_of(ctx.tx, ctx.scope)
    tagged = tags.of_many(ctx.tx, ctx.scope, TaggedType.DOCUMENT, [head.name for head, _ in own])
    public = set(documents.public_names(ctx.tx, ctx.scope))
    found = [
        _Listed(
            name=head.name,
            owner=ctx.scope.account,
            owners=frozenset({"Self", "Public"} if head.name in public else {"Self"}),
            head=head,
            info=info,
            tags=tagged.get(head.name, ()),
        )
        for head, info in own
    ]
    found += [
        _Listed(
            name=arn_of(shared.head.scope, shared.head.name),
            owner=shared.head.scope.account,
            owners=frozenset({"Public"} if shared.public else {"Private"}),
            head=shared.head,
            info=shared.info,
        )
        for shared in documents.shared_with(ctx.tx, ctx.scope)
    ]
    for document in BUILTIN.values():
        one = builtin_found(ctx.scope, document)
        owners = frozenset({"Amazon" if one.owner == "Amazon" else "ThirdParty"})
        found.append(_Listed(name=document.name, owner=one.owner, owners=owners, head=one.head, info=one.info))
    return found


_Test = Callable[[_Listed], bool]


def _filters_from(req: Request) -> list[_Test]:
    """Filters, or the older DocumentFilterList -> tests: keys are AND-ed, the values of one OR-ed.

    Raises Invalid(FILTER) for an unknown key, Invalid(FILTER_VALUE) for a value that its key can't have.
    """
    legacy: Sequence[Mapping[str, Any]] = req.get("DocumentFilterList") or ()
    modern: Sequence[Mapping[str, Any]] = req.get("Filters") or ()
    if legacy and modern:
        raise Invalid(Kind.REQUEST, "Filters and DocumentFilterList can't be given together.")
    tests = []
    for entry in legacy:
        if entry["key"] not in _LEGACY_KEYS:
            raise Invalid(Kind.FILTER, f"The filter key {entry['key'][:128]!a} is not valid here.")
        tests.append(_test(entry["key"], (entry["value"],)))
    for entry in modern:
        key, values = entry.get("Key", ""), tuple(entry.get("Values") or ())
        if not values:
            raise Invalid(Kind.FILTER_VALUE, f"The filter {key[:128]!a} needs at least one value.")
        tests.append(_test(key, values))
    return tests


def _test(key: str, values: tuple[str, ...]) -> _Test:
    if key.startswith("tag:") and len(key) > len("tag:"):
        tag_key = key.removeprefix("tag:")
        return lambda d: any(tag.key == tag_key and tag.value in values for tag in d.tags)
    match key:
        case "Name":
            return lambda d: d.name.startswith(values)
        case "Owner":
            if len(values) != 1 or values[0] not in OWNERS:
                raise Invalid(Kind.FILTER_VALUE, f"The filter Owner takes exactly one of {', '.join(OWNERS)}.")
            return lambda d: values[0] in d.owners
        case "PlatformTypes":
            if set(values) - set(PLATFORMS):
                raise Invalid(Kind.FILTER_VALUE, f"Values of PlatformTypes are {', '.join(PLATFORMS)}.")
            return lambda d: not set(values).isdisjoint(d.info.platform_types)
        case "DocumentType":
            return lambda d: d.head.type in values
        case "TargetType":
            return lambda d: d.info.target_type in values
        case "SearchKeyword":
            words = [value.lower() for value in values]
            return lambda d: any(word in f"{d.name} {d.info.display_name or ''}".lower() for word in words)
        case _:
            raise Invalid(Kind.FILTER, f"The filter key {key[:128]!a} is not valid; valid are {', '.join(KEYS)}.")
