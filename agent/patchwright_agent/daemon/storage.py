"""The agent's state folder: readable by its owner alone, written atomically, used by one daemon at a time."""

import errno
import fcntl
import json
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

MAX_STATE_FILE_BYTES = 1024 * 1024


class StorageError(Exception):
    """The state folder can't be used; the message says which file, why, and what to do."""


def default_state_dir() -> str:
    if os.geteuid() == 0:
        return "/var/lib/patchwright-agent"
    return os.path.expanduser("~/.local/state/patchwright-agent")


def prepare_dir(path: str) -> str:
    """Make the folder `path` if need be, with mode 0700, and return its absolute path. Raises StorageError."""
    path = os.path.abspath(path)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.stat(path)
        if status.st_uid != os.geteuid():
            raise StorageError(
                "%s belongs to another user (uid %d); give --state-dir a folder of your own" % (path, status.st_uid)
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(path, 0o700)
    except OSError as error:
        raise StorageError("cannot use the state folder %s: %s" % (path, error.strerror))
    return path


def write_atomically(path: str, content: bytes) -> None:
    """Replace the file by `content`, mode 0600: after a crash it is the old one or the new one. Raises StorageError."""
    temporary = "%s.%d.new" % (path, os.getpid())
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        sync_dir(os.path.dirname(path))
    except OSError as error:
        raise StorageError("cannot write %s: %s; the old content, if any, is kept" % (path, error.strerror))


def sync_dir(path: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str, value: "Dict[str, Any]") -> None:
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True).encode("utf-8") + b"\n")


def read_json(path: str) -> "Optional[Dict[str, Any]]":
    """The object in a JSON file, or None if there is no such file. Raises StorageError for one that can't be read."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(MAX_STATE_FILE_BYTES).decode("utf-8"))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise StorageError("cannot read %s: %s" % (path, error.strerror))
    except (ValueError, RecursionError):
        raise StorageError("%s is damaged (no JSON)" % path)
    if not isinstance(value, dict):
        raise StorageError("%s is damaged (no JSON object)" % path)
    return value


class Lock:
    """Held while a daemon uses a state folder; the system frees it when the process ends, however it ends."""

    def __init__(self, state_dir: str) -> None:
        path = os.path.join(state_dir, "lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise StorageError("another agent is running on %s; this one ends" % state_dir)
            raise StorageError("cannot lock %s: %s" % (path, error.strerror))

    def release(self) -> None:
        os.close(self._descriptor)
