"""Reads repositories' files of notices in a process of its own, while dnf reads the same ones. Runs in the child only.

Which notices are wanted shows late, and to uncompress the files and to find the notices in them takes half as long as
all that dnf does; with a second processor that costs no time. Whatever goes wrong, the files are read in the usual way.
"""

import json
import os
from typing import Any, Dict, Optional, Sequence, Set

from patchwright_agent.managers import dnf_updateinfo
from patchwright_agent.managers.model import Notice

MAX_KEPT_BYTES = 64 * 1024 * 1024  # of all notices without their lists of packages


class ReadAhead:
    """Begins to read `paths` at once; `read` gives the wanted notices of one of them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._answers = None  # type: Optional[Dict[str, Any]]
        self._questions = self._replies = -1
        if not paths:
            return
        question_end, self._questions = os.pipe()
        self._replies, reply_end = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(self._questions)
                _serve(self._paths, question_end, reply_end)
            finally:
                os._exit(0)  # nothing of dnf's is this process's to close
        os.close(question_end)
        os.close(reply_end)

    def read(self, path: str, wanted: Set[str]) -> Dict[str, Notice]:
        """The wanted notices of a file. `wanted` is the same at each call."""
        if self._answers is None and path in self._paths:
            self._answers = self._asked(wanted)
        rows = (self._answers or {}).get(path)
        if rows is None:
            return dnf_updateinfo.read_file(path, wanted)
        notices = [Notice(*row[:5], cves=tuple(row[5]), bugzillas=tuple(row[6])) for row in rows]
        return {notice.id: notice for notice in notices}

    def _asked(self, wanted: Set[str]) -> Dict[str, Any]:
        try:
            with os.fdopen(self._questions, "w", encoding="utf-8", errors="surrogateescape") as questions:
                questions.write(json.dumps(sorted(wanted)))
            with os.fdopen(self._replies, encoding="utf-8") as replies:
                answers = json.loads(replies.read())
            return dict(answers)
        except (OSError, ValueError):
            return {}


def _serve(paths: Sequence[str], questions: int, replies: int) -> None:
    kept = {path: _blocks(path) for path in paths}
    with os.fdopen(questions, encoding="utf-8", errors="surrogateescape") as stream:
        wanted = [identifier.encode("utf-8", "surrogateescape") for identifier in json.loads(stream.read() or "[]")]
    answers = {}  # type: Dict[str, Optional[List[Notice]]]
    for path, blocks in kept.items():
        if blocks is not None:
            parsed = [dnf_updateinfo.parsed(blocks[identifier]) for identifier in wanted if identifier in blocks]
            answers[path] = [notice for notice in parsed if notice is not None]
    with os.fdopen(replies, "w", encoding="utf-8") as out:
        out.write(json.dumps(answers))


def _blocks(path: str) -> Optional[Dict[bytes, bytes]]:
    """The last notice of each id, None where the file cannot be read or that is too much to keep."""
    found = {}  # type: Dict[bytes, bytes]
    size = 0
    try:
        for identifier, block in dnf_updateinfo.file_blocks(path, None):
            found[identifier] = block
            size += len(block)
            if size > MAX_KEPT_BYTES:
                return None
    except dnf_updateinfo.READ_ERRORS:
        return None
    return found
