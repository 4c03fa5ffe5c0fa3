"""The agent's memory on disk: one file, only appended to, each record durable before the next step.

A line is `<checksum> <JSON>`. A last line that was torn by a crash is trimmed. A damaged line elsewhere (a failing
disk) is set aside with the whole file, and every readable record is kept; a command of which any record is readable
counts as seen, so that it never runs twice.
"""

import errno
import hashlib
import json
import os
import threading

from patchwright_agent.daemon import command_state, log, storage
from patchwright_agent.daemon.command_state import CLOSED, FINAL, RECEIVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional, Tuple

    from patchwright_agent.daemon.clock import Clock

MAX_SEEN_IDS = 10000
SEEN_SECONDS = 30 * 86400.0
KEPT_FINALS = 20  # final replies of closed commands that can be sent again when the server delivers them anew
COMPACT_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
_CHECKSUM_CHARACTERS = 16


class JournalError(Exception):
    """A record could not be made durable: the work stops here; what was recorded before is kept."""


class Journal:
    """Open commands by id, and the ids of closed ones. Safe for several threads."""

    def __init__(self, state_dir: str, clock: "Clock") -> None:
        """Read what there is. Raises StorageError."""
        self._path = os.path.join(state_dir, "journal")
        self._clock = clock
        self._lock = threading.Lock()
        self.commands: "Dict[str, command_state.CommandState]" = {}
        self._closed: "Dict[str, float]" = {}  # id -> when, oldest first
        self._broken = False
        try:
            self._descriptor = self._open()
            self._size, damaged = self._load()
            self._compacted_size = self._size
            if damaged:
                self._set_damaged_aside(damaged)
            if damaged or self._size > COMPACT_BYTES or self._forgettable():
                self._compact()
        except OSError as error:
            raise storage.StorageError("cannot use the journal %s: %s" % (self._path, error.strerror))

    def is_known(self, command_id: str) -> bool:
        return command_id in self.commands or command_id in self._closed

    def append(self, kind: str, command_id: str, **members: "Any") -> None:
        """Make one record durable, then take it in. Raises JournalError."""
        record = dict(members, t=kind, id=command_id, at=self._clock.now())
        line = encode(record)
        with self._lock:
            if self._broken:
                raise JournalError("an earlier write to the journal %s failed" % self._path)
            try:
                self._write(line)
            except OSError as error:
                self._trim(error)
                raise JournalError("cannot write the journal %s: %s" % (self._path, error.strerror))
            self._take_in(record)

    def close_command(self, command_id: str) -> None:
        """Forget all of a finished command but its id (and, for a while, its final reply in the file)."""
        with self._lock:
            if self.commands.pop(command_id, None) is not None:
                self._closed[command_id] = self._clock.now()
            if self._size > 2 * self._compacted_size + COMPACT_BYTES:
                try:
                    self._compact()
                except OSError as error:  # nothing is lost: the old file is in force, and tried again later
                    log.say("cannot compact the journal: %s" % error.strerror)
                    self._compacted_size = self._size

    def stored_final(self, command_id: str) -> "Optional[Tuple[str, str]]":
        """Reply id and payload of a closed command's final reply, while it's kept. Reads the file: a rare need."""
        with self._lock:
            for _, record in self._records():
                if record is not None and record["id"] == command_id and record["t"] == FINAL:
                    return str(record["reply_id"]), str(record["payload"])
        return None

    def close(self) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._broken = True

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        storage.sync_dir(os.path.dirname(self._path))
        return descriptor

    def _write(self, line: bytes) -> None:
        written = 0
        while written < len(line):
            written += os.write(self._descriptor, line[written:])
        os.fsync(self._descriptor)
        self._size += len(line)

    def _trim(self, error: OSError) -> None:
        """After a failed write: cut what was half written; if even that fails, write no more."""
        log.say(
            "a journal write failed (%s): no further work is done" % errno.errorcode.get(error.errno or 0, error.errno)
        )
        try:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
        except OSError:
            self._broken = True

    def _load(self) -> "Tuple[int, int]":
        """Fold all records; the file's size after trimming a torn end, and the number of damaged lines before."""
        good_end, damaged = 0, 0
        torn_at: "Optional[int]" = None
        for end, record in self._records():
            if torn_at is not None:  # a bad line that is not the last one
                damaged, torn_at = damaged + 1, None
            if record is None:
                torn_at = good_end
            else:
                self._take_in(record)
            good_end = end
        if torn_at is not None:
            os.ftruncate(self._descriptor, torn_at)
            os.fsync(self._descriptor)
            good_end = torn_at
        for state in [state for state in self.commands.values() if state.is_finished]:
            del self.commands[state.id]
            self._closed[state.id] = state.last_at
        return good_end, damaged

    def _records(self) -> "Iterator[Tuple[int, Optional[Dict[str, Any]]]]":
        """(offset of the line's end, record or None for a bad line), from the start."""
        end = 0
        with open(self._path, "rb") as file:
            while True:
                line = file.readline(MAX_LINE_BYTES)
                if not line:
                    return
                end += len(line)
                yield end, decode(line)

    def _take_in(self, record: "Dict[str, Any]") -> None:
        command_id, at = record["id"], record["at"]
        try:
            if record["t"] == CLOSED:
                self._closed[command_id] = at
            elif record["t"] == RECEIVED:
                self.commands[command_id] = command_state.received(record)
            elif command_id in self.commands:
                self.commands[command_id].apply(record)
            else:  # its first record is lost, or it is a kept final of a closed command
                self._closed.setdefault(command_id, at)
        except (KeyError, TypeError, ValueError):  # of another version: seen, but not to be continued
            self.commands.pop(command_id, None)
            self._closed.setdefault(command_id, at)

    def _set_damaged_aside(self, damaged: int) -> None:
        aside = "%s.damaged-%d" % (self._path, int(self._clock.now()))
        with open(self._path, "rb") as file:
            storage.write_atomically(aside, file.read())
        log.say(
            "%d records of the journal were unreadable; a copy is kept as %s, the others are in force"
            % (damaged, aside)
        )

    def _forgettable(self) -> bool:
        oldest = min(self._closed.values(), default=self._clock.now())
        return len(self._closed) > MAX_SEEN_IDS or self._clock.now() - oldest > SEEN_SECONDS

    def _compact(self) -> None:
        """Rewrite the file: open commands whole, closed ones by id, the newest of them with their final reply."""
        horizon = self._clock.now() - SEEN_SECONDS
        kept = sorted(((at, key) for key, at in self._closed.items() if at >= horizon))[-MAX_SEEN_IDS:]
        with_final = {key for _, key in kept[-KEPT_FINALS:]}
        lines = [encode({"t": CLOSED, "id": key, "at": at}) for at, key in kept]
        for _, record in self._records():
            if record is not None and (
                record["id"] in self.commands or (record["t"] == FINAL and record["id"] in with_final)
            ):
                lines.append(encode(record))
        storage.write_atomically(self._path, b"".join(lines))
        os.close(self._descriptor)
        self._descriptor = self._open()
        self._closed = {key: at for at, key in kept}
        self._size = self._compacted_size = sum(len(line) for line in lines)


def encode(record: "Dict[str, Any]") -> bytes:
    text = json.dumps(record, separators=(",", ":"), sort_keys=True).encode("ascii")
    return _checksum(text) + b" " + text + b"\n"


def decode(line: bytes) -> "Optional[Dict[str, Any]]":
    """The record of a line, or None for one that is torn or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != _checksum(text):
        return None
    try:
        record = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("id"), str) or "t" not in record:
        return None
    return record if isinstance(record.get("at"), (int, float)) else None


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_CHECKSUM_CHARACTERS].encode("ascii")
