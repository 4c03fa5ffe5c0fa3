"""When each version of each repository was first seen in an account: the date that apt's own metadata lack.

Source: decisions.md 15. The earliest instant wins and never moves later.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from sqlalchemy import bindparam, select

from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey, ReleaseSource
from patchwright.core.patches import PackageVersion
from patchwright.store.engine import Tx
from patchwright.store.tables import first_seen, meta, repository
from patchwright.store.upsert import insert_or_ignore, upsert

CHUNK = 400
CACHED_KEYS = 200_000
CACHED_VERSIONS = 60_000
_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""Bound of a version that is in no repository: no Release says anything of it."""
_ENDLESS = datetime.max.replace(tzinfo=UTC)
_Key = tuple[str, str, str, str]


def record(
    tx: Tx,
    account: str,
    versions: Sequence[PackageVersion],
    released_at: Mapping[str, datetime | None],
    now: datetime,
) -> bool:
    """Note the versions that were not seen before; `released_at` dates repositories by their identity.

    At the first sight of a repository its versions take its Release date, and so do versions reported later from
    that same Release; all others take `now`. Answers whether a date that others were judged by has moved.
    """
    earliest = min((at for at in released_at.values() if at is not None), default=None)
    settled = tx.cache(f"versions seen by {account}", limit=CACHED_VERSIONS)
    # By identity, as in store/facts.py: apt's versions are one and the same object whenever they are reported.
    if _are_settled(settled, versions, earliest):
        return False
    known = tx.cache(f"seen by {account}", limit=CACHED_KEYS)
    wanted = {(r.identity[:512], v.name, v.arch, v.version): None for v in versions for r in v.repositories}
    new = [k for k in wanted if k not in known or _is_before(released_at.get(k[0]), known[k])]
    if not new:
        tx.after_commit(lambda: settled.update(_bounds(versions, known)))
        return False
    firsts = _repositories(tx, account, {k[0] for k in new}, released_at, now)
    rows = [_row(account, key, firsts, released_at, now) for key in new]
    for i in range(0, len(rows), CHUNK):
        insert_or_ignore(tx, first_seen, rows[i : i + CHUNK])
    moved = _move_earlier(tx, [r for r in rows if r["by_release_date"]])
    if moved:
        _count_move(tx, account)
    # An upper bound of what the store holds: only a Release that is older still can move the date.
    dated = {key: row["seen_at"] for key, row in zip(new, rows, strict=True)}
    tx.after_commit(lambda: known.update(dated))
    tx.after_commit(lambda: settled.update(_bounds(versions, known)))
    return moved


def _are_settled(
    settled: Mapping[int, tuple[datetime, PackageVersion]],
    versions: Sequence[PackageVersion],
    earliest: datetime | None,
) -> bool:
    """Whether no Release of `earliest` or later can move a date of these versions."""
    try:
        bounds = map(itemgetter(0), map(settled.__getitem__, map(id, versions)))
        # Without any date it only matters that all are known.
        return all(map((earliest or _ENDLESS).__ge__, bounds))
    except KeyError:
        return False


def _bounds(
    versions: Iterable[PackageVersion], known: Mapping[_Key, datetime]
) -> dict[int, tuple[datetime, PackageVersion]]:
    """Versions whose keys are all known: only a Release older than the bound can move one of their dates."""
    found = {}
    for v in versions:
        bounds = [known.get((r.identity[:512], v.name, v.arch, v.version)) for r in v.repositories]
        if None not in bounds:
            found[id(v)] = (max((b for b in bounds if b is not None), default=_ALWAYS), v)
    return found


def moves(tx: Tx, account: str) -> int:
    """How often dates of the account have moved: who keeps dates in memory compares."""
    found = tx.execute(select(meta.c.value).where(meta.c.key == _moves_key(account))).scalar_one_or_none()
    return int(found or 0)


def _count_move(tx: Tx, account: str) -> None:
    upsert(tx, meta, [{"key": _moves_key(account), "value": str(moves(tx, account) + 1)}], key=["key"])


def _moves_key(account: str) -> str:
    return f"first_seen_moves:{account}"


def _is_before(moment: datetime | None, bound: datetime) -> bool:
    return moment is not None and moment < bound


def _repositories(
    tx: Tx, account: str, identities: set[str], released_at: Mapping[str, datetime | None], now: datetime
) -> dict[str, datetime | None]:
    """The Release date at first sight of each repository; a new one is written with the date reported now."""
    insert_or_ignore(
        tx,
        repository,
        [
            {
                "account": account,
                "identity": identity,
                "first_release_at": _not_after(released_at.get(identity), now),
                "first_seen_at": now,
            }
            for identity in sorted(identities)
        ],
    )
    rows = tx.execute(
        select(repository.c.identity, repository.c.first_release_at).where(
            repository.c.account == account, repository.c.identity.in_(sorted(identities))
        )
    )
    return {r.identity: r.first_release_at for r in rows}


def _not_after(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is None else min(moment, now)


def _row(
    account: str,
    key: _Key,
    firsts: Mapping[str, datetime | None],
    released_at: Mapping[str, datetime | None],
    now: datetime,
) -> dict[str, object]:
    identity, name, arch, version = key
    first, reported = firsts.get(identity), _not_after(released_at.get(identity), now)
    from_first_release = first is not None and reported is not None and reported <= first
    return {
        "account": account,
        "identity": identity,
        "name": name,
        "arch": arch,
        "version": version,
        "seen_at": reported if from_first_release else now,
        "by_release_date": from_first_release,
    }


def _move_earlier(tx: Tx, rows: Sequence[Mapping[str, object]]) -> bool:
    """A node with an older mirror may prove that a version is older than first thought; never the other way."""
    if not rows:
        return False
    t = first_seen
    key = ("account", "identity", "name", "arch", "version")
    seen_at = bindparam("k_seen_at", type_=t.c.seen_at.type)
    statement = (
        t.update()
        .where(*(t.c[c] == bindparam(f"k_{c}") for c in key), t.c.seen_at > seen_at)
        .values(seen_at=seen_at, by_release_date=True)
    )
    parameters = [{f"k_{c}": r[c] for c in (*key, "seen_at")} for r in rows]
    return tx.execute(statement.execution_options(preserve_rowcount=True), parameters).rowcount > 0


def catalogue(tx: Tx, account: str, names: Sequence[str]) -> Catalogue:
    """First-seen times of all versions of the packages named."""
    t = first_seen
    found: dict[FirstSeenKey, FirstSeen] = {}
    for i in range(0, len(names), CHUNK):
        rows = tx.execute(select(t).where(t.c.account == account, t.c.name.in_(names[i : i + CHUNK])))
        for r in rows:
            source = ReleaseSource.REPOSITORY_FIRST_SEEN if r.by_release_date else ReleaseSource.FIRST_REPORT
            key = FirstSeenKey(repository=r.identity, name=r.name, arch=r.arch, version=r.version)
            found[key] = FirstSeen(at=r.seen_at, source=source)
    return Catalogue(first_seen=found)
