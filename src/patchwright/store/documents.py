"""Documents of the accounts with every version of each, and with whom they are shared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select

from patchwright.core.document_rules import EVERYONE
from patchwright.core.values import Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import document as head
from patchwright.store.tables import document_share as share
from patchwright.store.tables import document_version as body
from patchwright.store.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentHead:
    """A document without its versions. `next_version`: numbers are never given twice, even after a deletion."""

    scope: Scope
    name: str
    type: str
    default_version: int
    latest_version: int
    next_version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """What is shown of one version beside its content."""

    version: int
    version_name: str | None
    display_name: str | None
    target_type: str | None
    format: str
    schema_version: str
    platform_types: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionContent:
    """A version with its text as it was submitted, and the value of that text."""

    info: DocumentVersion
    source: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A document that its owner lets an account use. `versions`: $DEFAULT, $LATEST or $ALL, one or more of them."""

    head: DocumentHead
    info: DocumentVersion
    versions: frozenset[str]
    public: bool


_HEAD = tuple(head.c)
_INFO = (
    body.c.version,
    body.c.version_name,
    body.c.display_name,
    body.c.target_type,
    body.c.format,
    body.c.schema_version,
    body.c.platform_types,
    body.c.created_at.label("version_created_at"),
)


def count(tx: Tx, scope: Scope) -> int:
    statement = select(func.count()).select_from(head).where(_in(head, scope))
    return int(tx.execute(statement).scalar_one())


def find(tx: Tx, scope: Scope, name: str) -> DocumentHead | None:
    row = tx.execute(select(*_HEAD).where(_in(head, scope), head.c.name == name)).one_or_none()
    return None if row is None else _head(row)


def all_of(tx: Tx, scope: Scope) -> list[tuple[DocumentHead, DocumentVersion]]:
    """Every document of the scope with its default version, in no order; the quota keeps them few."""
    statement = select(*_HEAD, *_INFO).join_from(head, body, _default_of_head()).where(_in(head, scope))
    return [(_head(row), _info(row)) for row in tx.execute(statement)]


def shared_with(tx: Tx, scope: Scope, *, name: str | None = None, owner: str | None = None) -> list[Shared]:
    """The documents of other accounts in this region that `scope`'s account, or everyone, may use."""
    statement = (
        select(*_HEAD, *_INFO, share.c.shared_with, share.c.shared_version)
        .join_from(head, body, _default_of_head())
        .join(share, and_(_same(share), share.c.document_name == head.c.name))
        .where(
            head.c.region == scope.region,
            head.c.account != scope.account,
            share.c.shared_with.in_((scope.account, EVERYONE)),
        )
    )
    if name is not None:
        statement = statement.where(head.c.name == name, head.c.account == owner)
    found: dict[tuple[str, str], Shared] = {}
    for row in tx.execute(statement):
        before = found.get((row.account, row.name))
        found[row.account, row.name] = Shared(
            head=_head(row),
            info=_info(row),
            versions=(before.versions if before else frozenset()) | {row.shared_version},
            public=row.shared_with == EVERYONE or (before is not None and before.public),
        )
    return list(found.values())


def insert(tx: Tx, new: DocumentHead, first: VersionContent) -> None:
    """Keep a new document with its first version."""
    tx.execute(
        head.insert().values(
            **_scope(new.scope),
            name=new.name,
            type=new.type,
            default_version=new.default_version,
            latest_version=new.latest_version,
            next_version=new.next_version,
            created_at=new.created_at,
        )
    )
    _insert_version(tx, new.scope, new.name, first)


def add_version(tx: Tx, of: DocumentHead, new: VersionContent) -> None:
    """Keep `new`, whose number is `of.next_version`, as the latest version."""
    number = new.info.version
    _update(tx, of, latest_version=number, next_version=number + 1)
    _insert_version(tx, of.scope, of.name, new)


def set_default(tx: Tx, of: DocumentHead, version: int) -> None:
    _update(tx, of, default_version=version)


def find_version(tx: Tx, of: DocumentHead, version: int) -> VersionContent | None:
    return _content(tx, of, body.c.version == version)


def find_version_named(tx: Tx, of: DocumentHead, version_name: str) -> VersionContent | None:
    return _content(tx, of, body.c.version_name == version_name)


def count_versions(tx: Tx, of: DocumentHead) -> int:
    statement = select(func.count()).select_from(body).where(_of(body, of))
    return int(tx.execute(statement).scalar_one())


def versions(tx: Tx, of: DocumentHead, *, before: int | None, limit: int) -> list[DocumentVersion]:
    """Versions with numbers below `before`, the latest first."""
    statement = select(*_INFO).where(_of(body, of)).order_by(body.c.version.desc()).limit(limit)
    if before is not None:
        statement = statement.where(body.c.version < before)
    return [_info(row) for row in tx.execute(statement)]


def delete_version(tx: Tx, of: DocumentHead, version: int) -> None:
    """Take away one version, which is not the only one."""
    tx.execute(body.delete().where(_of(body, of), body.c.version == version))
    latest = tx.execute(select(func.max(body.c.version)).where(_of(body, of))).scalar_one()
    _update(tx, of, latest_version=latest)


def delete(tx: Tx, of: DocumentHead) -> None:
    """Take away a document with all its versions. The caller has seen that it is shared with nobody."""
    tx.execute(body.delete().where(_of(body, of)))
    tx.execute(head.delete().where(_in(head, of.scope), head.c.name == of.name))


def shares(tx: Tx, of: DocumentHead) -> dict[str, str]:
    """Account (or EVERYONE) -> the version that is shared, in order of the accounts."""
    rows = tx.execute(select(share.c.shared_with, share.c.shared_version).where(_of(share, of)))
    return dict(sorted((row.shared_with, row.shared_version) for row in rows))


def save_shares(tx: Tx, of: DocumentHead, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    gone = sorted(set(before) - set(after))
    if gone:
        tx.execute(share.delete().where(_of(share, of), share.c.shared_with.in_(gone)))
    rows = [
        {**_scope(of.scope), "document_name": of.name, "shared_with": account, "shared_version": version}
        for account, version in after.items()
        if before.get(account) != version
    ]
    upsert(tx, share, rows, key=("account", "region", "document_name", "shared_with"))


def public_names(tx: Tx, scope: Scope) -> Sequence[str]:
    """The documents of the scope that everyone may use."""
    rows = tx.execute(select(share.c.document_name).where(_in(share, scope), share.c.shared_with == EVERYONE))
    return [str(name) for name in rows.scalars()]


def _insert_version(tx: Tx, scope: Scope, name: str, new: VersionContent) -> None:
    info = new.info
    tx.execute(
        body.insert().values(
            **_scope(scope),
            document_name=name,
            version=info.version,
            version_name=info.version_name,
            display_name=info.display_name,
            target_type=info.target_type,
            format=info.format,
            schema_version=info.schema_version,
            platform_types=list(info.platform_types),
            source=new.source,
            content=new.content,
            created_at=info.created_at,
        )
    )


def _content(tx: Tx, of: DocumentHead, which: ColumnElement[bool]) -> VersionContent | None:
    row = tx.execute(select(*_INFO, body.c.source, body.c.content).where(_of(body, of), which)).one_or_none()
    return None if row is None else VersionContent(info=_info(row), source=row.source, content=row.content)


def _update(tx: Tx, of: DocumentHead, **values: Any) -> None:
    tx.execute(head.update().where(_in(head, of.scope), head.c.name == of.name).values(**values))


def _scope(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region}


def _in(table: Any, scope: Scope) -> ColumnElement[bool]:
    return and_(table.c.account == scope.account, table.c.region == scope.region)


def _of(table: Any, of: DocumentHead) -> ColumnElement[bool]:
    return and_(_in(table, of.scope), table.c.document_name == of.name)


def _same(table: Any) -> ColumnElement[bool]:
    return and_(table.c.account == head.c.account, table.c.region == head.c.region)


def _default_of_head() -> ColumnElement[bool]:
    return and_(_same(body), body.c.document_name == head.c.name, body.c.version == head.c.default_version)


def _head(row: Row[Any]) -> DocumentHead:
    return DocumentHead(
        scope=Scope(account=row.account, region=row.region),
        name=row.name,
        type=row.type,
        default_version=row.default_version,
        latest_version=row.latest_version,
        next_version=row.next_version,
        created_at=row.created_at,
    )


def _info(row: Row[Any]) -> DocumentVersion:
    return DocumentVersion(
        version=row.version,
        version_name=row.version_name,
        display_name=row.display_name,
        target_type=row.target_type,
        format=row.format,
        schema_version=row.schema_version,
        platform_types=tuple(row.platform_types),
        created_at=row.version_created_at,
    )
