"""Patches on offer, kept as they are reported: one row for each package version of a product, found by its words.

A row is written when a version is reported with words that no report had before. Which reports are known is kept in
memory, so that a report of a fleet costs a look for each of its offers and nothing else.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from patchwright.core.available import Word, gravest, merged, parts_of, released_at, words_of
from patchwright.core.judgement import Catalogue
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family, OperatingSystem, Scope
from patchwright.store import first_seen
from patchwright.store.columns import from_micros, to_micros
from patchwright.store.engine import Tx
from patchwright.store.tables import available_patch as t
from patchwright.store.tables import available_word
from patchwright.store.upsert import insert_or_ignore

CHUNK = 400
CACHED = 60_000
MAX_WORD = 512
_WORDS = frozenset(str(word) for word in Word)
_encoder = msgspec.json.Encoder()
_version = msgspec.json.Decoder(PackageVersion)
COLUMNS = {"NAME": t.c.name, "ARCH": t.c.arch, "VERSION": t.c.version, "RELEASE": t.c.release, "PRODUCT": t.c.product}
"""Filter keys that are compared as they are; CLASSIFICATION and SEVERITY are kept in upper case, EPOCH is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailablePatch:
    """A patch on offer for a product; `released_at` as it was when it was first noted."""

    id: int
    operating_system: OperatingSystem
    product: str
    version: PackageVersion
    released_at: datetime

    @property
    def place(self) -> list[int]:
        """Where it stands in the order of lists: what a cursor holds."""
        return [to_micros(self.released_at), self.id]


def note(
    tx: Tx,
    scope: Scope,
    system: OperatingSystem,
    product: str,
    versions: Sequence[PackageVersion],
    now: datetime,
) -> None:
    """Keep what a node has on offer. What is known already, in the same words, is not written."""
    known = tx.cache(f"on offer: {scope.account} {scope.region} {product}", limit=CACHED)
    new = [version for version in versions if version not in known]
    if not new:
        return
    for some in _chunks(new):
        _note(tx, scope, system, product, some, now)
    tx.after_commit(lambda: known.update(dict.fromkeys(new)))


def _note(
    tx: Tx,
    scope: Scope,
    system: OperatingSystem,
    product: str,
    versions: Sequence[PackageVersion],
    now: datetime,
) -> None:
    mine = (t.c.account == scope.account, t.c.region == scope.region, t.c.product == product)
    wanted = {_digest(version): version for version in versions}
    rows = tx.execute(select(t.c.digest, t.c.id, t.c.record).where(*mine, t.c.digest.in_(list(wanted))))
    held = {bytes(row.digest): (row.id, _version.decode(row.record)) for row in rows}
    changed: dict[bytes, PackageVersion] = {}
    for version in versions:
        digest = _digest(version)
        before = changed.get(digest) or (held[digest][1] if digest in held else None)
        after = merged(before, version)
        if after != before:
            changed[digest] = after
    if not changed:
        return
    dates = _dates(tx, scope, changed.values())
    values = {digest: _values(version, product, dates, now) for digest, version in changed.items()}
    for digest in changed.keys() & held.keys():
        tx.execute(t.update().where(t.c.id == held[digest][0]).values(**values[digest]))
        tx.execute(available_word.delete().where(available_word.c.patch_id == held[digest][0]))
    place = {"account": scope.account, "region": scope.region, "operating_system": system, "product": product}
    fresh = [{**place, "digest": digest, **values[digest]} for digest in changed if digest not in held]
    if fresh:
        tx.execute(t.insert(), fresh)
    ids = {bytes(r.digest): r.id for r in tx.execute(select(t.c.digest, t.c.id).where(*mine, t.c.digest.in_(changed)))}
    words = [
        {"patch_id": ids[digest], "kind": kind, "value": value.upper()[:MAX_WORD]}
        for digest, version in changed.items()
        for kind, value in words_of(version)
    ]
    for some in _chunks(words):
        insert_or_ignore(tx, available_word, some)


def _dates(tx: Tx, scope: Scope, versions: Iterable[PackageVersion]) -> Catalogue:
    names = sorted({version.name for version in versions if version.family is Family.APT})
    return first_seen.catalogue(tx, scope.account, names) if names else Catalogue()


def _values(version: PackageVersion, product: str, dates: Catalogue, now: datetime) -> dict[str, Any]:
    parts, (classification, severity) = parts_of(version), gravest(version, product)
    return {
        "name": version.name,
        "arch": version.arch,
        "epoch": parts.epoch,
        "version": parts.version,
        "release": parts.release,
        "classification": classification,
        "severity": severity,
        "released_at": released_at(version, dates),
        "noted_at": now,
        "record": _encoder.encode(version),
    }


def _digest(version: PackageVersion) -> bytes:
    text = "\n".join((version.name, version.arch, version.version))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def search(
    tx: Tx, scope: Scope, filters: Mapping[str, Sequence[str]], *, after: Sequence[int] | None, limit: int
) -> list[AvailablePatch]:
    """Patches that all filters accept, the latest first, those behind the place `after`.

    A filter accepts any of its values. Keys: those of COLUMNS and Word, CLASSIFICATION, SEVERITY, EPOCH.
    """
    wanted: list[ColumnElement[bool]] = [t.c.account == scope.account, t.c.region == scope.region]
    wanted += [_accepts(key, list(values)) for key, values in filters.items()]
    if after is not None:
        at, last = from_micros(after[0]), after[1]
        wanted.append(or_(t.c.released_at < at, and_(t.c.released_at == at, t.c.id < last)))
    rows = tx.execute(_listed().where(*wanted).order_by(t.c.released_at.desc(), t.c.id.desc()).limit(limit))
    return [_patch(row) for row in rows]


def _accepts(key: str, values: list[str]) -> ColumnElement[bool]:
    if key in COLUMNS:
        return COLUMNS[key].in_(values)
    if key == "EPOCH":
        return t.c.epoch.in_([int(value) for value in values])
    upper = [value.upper() for value in values]
    if key in _WORDS:
        found = select(available_word.c.patch_id).where(available_word.c.kind == key, available_word.c.value.in_(upper))
        return t.c.id.in_(found)
    return (t.c.classification if key == "CLASSIFICATION" else t.c.severity).in_(upper)


def of_system(tx: Tx, scope: Scope, system: OperatingSystem) -> Iterator[AvailablePatch]:
    """All patches on offer for a system."""
    mine = (t.c.account == scope.account, t.c.region == scope.region, t.c.operating_system == system)
    return (_patch(row) for row in tx.execute(_listed().where(*mine)))


def newest(tx: Tx, scope: Scope, system: OperatingSystem) -> tuple[datetime | None, int]:
    """Tells states of a system's offers apart: when the last change was noted, and how many patches there are."""
    mine = (t.c.account == scope.account, t.c.region == scope.region, t.c.operating_system == system)
    row = tx.execute(select(func.max(t.c.noted_at).label("at"), func.count().label("n")).where(*mine)).one()
    return row.at, row.n


def products(tx: Tx, scope: Scope, system: OperatingSystem) -> list[str]:
    """Products of a system of which something is on offer."""
    mine = (t.c.account == scope.account, t.c.region == scope.region, t.c.operating_system == system)
    return list(tx.execute(select(t.c.product).distinct().where(*mine)).scalars())


def _listed() -> Select[Any]:
    return select(t.c.id, t.c.operating_system, t.c.product, t.c.record, t.c.released_at)


def _patch(row: Any) -> AvailablePatch:
    return AvailablePatch(
        id=row.id,
        operating_system=OperatingSystem(row.operating_system),
        product=row.product,
        version=_version.decode(row.record),
        released_at=row.released_at,
    )


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))
