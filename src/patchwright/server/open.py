"""Open an installation: data folder, key, store at this release's schema, the first account and administrator."""

import fcntl
import hashlib
import os
from pathlib import Path

from patchwright import __version__
from patchwright.api.context import Service
from patchwright.core.access import ADMIN
from patchwright.flows.make_access_key import make_access_key
from patchwright.server.agent_artefact import AgentArtefact
from patchwright.server.clock import SystemClock, SystemIds
from patchwright.server.secrets import KEY_BYTES, Sealer, WrongKey, check_value, load_master_key
from patchwright.server.settings import BadSettings, Settings
from patchwright.server.state import State
from patchwright.server.tls import TlsFiles, ca_sha256, ensure, names_of
from patchwright.server.waits import Waits
from patchwright.store import meta, principals
from patchwright.store.engine import Engine, Tx
from patchwright.store.migrate import migrate
from patchwright.wire.channel_opening import ChannelTokens
from patchwright.wire.credentials import NodeKeys, RunTokens
from patchwright.wire.model import Models
from patchwright.wire.snapshot_urls import SnapshotUrls
from patchwright.wire.tokens import Tokens

PROFILE = "default"


def open_state(settings: Settings) -> State:
    """Everything a server process needs, made or migrated where that is due.

    Raises BadSettings, WrongKey, SchemaTooNew or StoreUnavailable; nothing is changed then.
    """
    data = settings.data_dir
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data.stat().st_mode & 0o077:
        data.chmod(0o700)
    clock, ids = SystemClock(), SystemIds()
    store = open_store(settings)
    key = _master_key(settings, store, ids)
    sealer = Sealer(key)
    pin = ""
    if settings.tls == "auto":
        files = ensure(data, names_of(settings.listen_host, settings.url), clock.now())
        pin = ca_sha256(files.ca)
    service = Service(
        version=__version__,
        first_account=store.read(_first_account) or settings.account_id,
        public_url=settings.url,
        ca_sha256=pin,
        agent_sha256=_sha256(settings.agent_file),
        apt_delays="ignore" if settings.apt_delays == "ignore" else "honour",
        fast_start=settings.fast_start,
        catch_up_windows=settings.missed_windows == "catch-up",
    )
    state = State(
        settings=settings,
        service=service,
        store=store,
        models=Models.load(),
        clock=clock,
        ids=ids,
        tokens=Tokens(key),
        node_keys=NodeKeys(key),
        run_tokens=RunTokens(key),
        channel_tokens=ChannelTokens(key),
        snapshot_urls=SnapshotUrls(key, settings.url),
        sealer=sealer,
        waits=Waits(),
        artefact=AgentArtefact(settings.agent_file, store, sealer, url=settings.url, ca_sha256=pin),
    )
    _first_start(state)
    return state


def open_store(settings: Settings) -> Engine:
    """The engine that the settings name, at this release's schema."""
    if settings.database_url:
        from patchwright.store.postgres import PostgresEngine

        postgres = PostgresEngine(settings.database_url)
        with postgres.connection() as connection:
            migrate(connection)
        return postgres
    from patchwright.store.sqlite import SqliteEngine

    path = settings.data_dir / "patchwright.db"
    _one_process(settings.data_dir)
    sqlite = SqliteEngine(path)
    with sqlite.connection() as connection:
        migrate(connection, sqlite_file=path)
    return sqlite


_locks: list[int] = []
"""Descriptors that hold a data folder for the life of this process."""


def _one_process(data_dir: Path) -> None:
    """SQLite is for one server process: a second one on the same folder is refused."""
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        os.close(descriptor)
        raise BadSettings(
            f"another server uses {data_dir}. End it first, or give each process --database-url postgresql://…"
        ) from taken
    _locks.append(descriptor)


def _first_account(tx: Tx) -> str | None:
    return meta.get(tx, "first_account")


def _master_key(settings: Settings, store: Engine, ids: SystemIds) -> bytes:
    """The installation's key; made with the database, and checked against it ever after."""
    path = Path(os.environ.get("PATCHWRIGHT_SECRET_KEY_FILE") or settings.data_dir / "secret.key")
    known = store.read(lambda tx: meta.get(tx, "key_check"))
    key = load_master_key(path, make=None if known else ids.random(KEY_BYTES))
    if known is None:
        store.write(lambda tx: meta.put(tx, "key_check", check_value(key)))
    elif known != check_value(key):
        raise WrongKey(
            f"{path} is not the key that this database was made with: bring back the right file. Nothing was changed."
        )
    return key


def _first_start(state: State) -> None:
    """Make the first account and its administrator once; write the AWS files whenever they are absent or old."""
    account = state.settings.account_id

    def make(tx: Tx) -> tuple[str, str] | None:
        if meta.get(tx, "first_account") is not None:
            return None
        now = state.clock.now()
        principals.insert_account(tx, account, "first", now)
        meta.put(tx, "first_account", account)
        meta.put(tx, "ping", "0")
        made = make_access_key(
            tx, account=account, user_name="admin", policy=ADMIN, now=now, ids=state.ids, sealer=state.sealer
        )
        meta.put(tx, "first_key", made.key.id)
        return made.key.id, made.secret

    state.store.write(make)
    _write_aws_files(state)


def _write_aws_files(state: State) -> None:
    """`aws/credentials` and `aws/config` in the AWS shared-file formats, endpoint included; 0600.

    They are made again at each start: a file lost to a kill between commit and write comes back.
    """
    folder = state.settings.data_dir / "aws"
    folder.mkdir(mode=0o700, exist_ok=True)
    key_id = state.store.read(lambda tx: meta.get(tx, "first_key"))
    key = state.store.read(lambda tx: principals.find_key(tx, key_id)) if key_id else None
    if key is not None and not (folder / "credentials").exists():
        secret = state.sealer.open(key.sealed_secret, bound_to=key.id)
        _write_private(
            folder / "credentials",
            f"[{PROFILE}]\naws_access_key_id = {key.id}\naws_secret_access_key = {secret}\n",
        )
    url = state.settings.url
    profile = {"region": state.settings.region, "output": "json", "services": "patchwright", "endpoint_url": url}
    if state.settings.tls == "auto":
        profile["ca_bundle"] = str(TlsFiles(state.settings.data_dir).ca.resolve())
    services = "".join(f"\n{name} =\n  endpoint_url = {url}" for name in ("ssm", "patchwright", "sts"))
    text = f"[{PROFILE}]\n" + "".join(f"{k} = {v}\n" for k, v in profile.items())
    _write_private(folder / "config", f"{text}\n[services patchwright]{services}\n")


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sha256(path: Path | None) -> str:
    if path is None or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
