"""Where apt's lists and caches are, and which of them a run may write.

A scan changes nothing of the system: apt's package cache, which apt would rebuild in the system's own folder, is kept
in a folder of the agent. Without root the lists are the agent's own too: links to the system's, or fetched ones if it
has none.
"""

import hashlib
import os
import shutil
from typing import List, Mapping, NamedTuple, Sequence, Tuple

from patchwright_agent import platform
from patchwright_agent.managers.errors import ManagerError

_NO_LISTS = ("lock", "partial", "auxfiles")
_MAX_SOURCE_FILES = 1000


class AptFolders(NamedTuple):
    """apt's settings for one run. `options` go to every apt call; `cache` is "" where no folder for it can be made."""

    options: Tuple[str, ...]
    lists: str
    owns_lists: bool
    status: str
    cache: str
    system_cache: str
    source_files: Tuple[str, ...]
    native_arch: str


def folders_for(settings: Mapping[str, List[str]], index_dir: str, own_lists: bool) -> AptFolders:
    """Choose the folders from apt's settings. `index_dir` is the agent's; with `own_lists` it holds the lists too."""
    cache = _made(os.path.join(index_dir, "cache"))
    if own_lists:
        lists = os.path.join(index_dir, "lists")
        if not cache or not _made(os.path.join(lists, "partial")):
            raise ManagerError("the index folder %s cannot be written; name another one with --index-dir" % index_dir)
    else:
        lists = system_lists(settings)
    options = ["-o", "Dir::Cache::srcpkgcache="]
    options += ["-o", "Dir::Cache::pkgcache=" + (os.path.join(cache, "pkgcache.bin") if cache else "")]
    if own_lists:
        options += ["-o", "Dir::State::lists=" + lists + "/", "-o", "Dir::Cache=" + cache + "/"]
    return AptFolders(
        options=tuple(options),
        lists=lists,
        owns_lists=own_lists,
        status=setting_path(settings, "dir::state::status"),
        cache=os.path.join(cache, "pkgcache.bin") if cache else "",
        system_cache=setting_path(settings, "dir::cache::pkgcache"),
        source_files=_source_files(settings),
        native_arch=(settings.get("apt::architecture") or [""])[0],
    )


def seed_lists(folders: AptFolders, system_lists: str, copy: bool) -> None:
    """Make own lists follow the system's: links to them, or copies if apt is to refresh them; newer own ones stay."""
    theirs = set(_list_names(system_lists))
    for name in _list_names(folders.lists):
        path = os.path.join(folders.lists, name)
        if os.path.islink(path) and (name not in theirs or copy):
            os.unlink(path)
    for name in theirs:
        target, path = os.path.join(system_lists, name), os.path.join(folders.lists, name)
        if os.path.exists(path) and not os.path.islink(path) and os.path.getmtime(path) >= os.path.getmtime(target):
            continue
        if os.path.islink(path) and os.readlink(path) == target:
            continue
        if os.path.lexists(path):
            os.unlink(path)
        if copy:
            shutil.copy2(target, path)
        else:
            os.symlink(target, path)


def borrow_system_cache(folders: AptFolders) -> None:
    """Let apt read the system's package cache if it is newer than ours.

    It does so through a link, which apt replaces, and never follows, when it has to write.
    """
    if not folders.cache or not folders.system_cache or folders.owns_lists or folders.cache == folders.system_cache:
        return
    if _mtime(folders.system_cache) <= _mtime(folders.cache):
        return
    if os.path.lexists(folders.cache):
        os.unlink(folders.cache)
    os.symlink(folders.system_cache, folders.cache)


def cache_seems_fresh(folders: AptFolders) -> bool:
    """Whether apt will probably accept its cache as it is (a guess that costs time, never truth, when it is wrong)."""
    built = _mtime(folders.cache)
    inputs = [os.path.join(folders.lists, name) for name in _list_names(folders.lists)]
    inputs += list(folders.source_files) + [folders.status, folders.lists]
    return built > 0 and all(_mtime(path) <= built for path in inputs)


def system_lists(settings: Mapping[str, List[str]]) -> str:
    return setting_path(settings, "dir::state::lists")


def has_lists(lists: str) -> bool:
    return any(name.endswith("Release") or "_Packages" in name for name in _list_names(lists))


def sources_digest(source_files: Sequence[str]) -> str:
    """SHA-256 of what the source files define: comments, blank lines and trailing blanks do not count."""
    digest = hashlib.sha256()
    for path in source_files:
        lines = [line.rstrip() for line in platform.small_file(path).split("\n")]
        kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        digest.update(("%s\n%s\n" % (os.path.basename(path), "\n".join(kept))).encode("utf-8", "replace"))
    return digest.hexdigest()


def setting_path(settings: Mapping[str, List[str]], name: str) -> str:
    """The path that a Dir:: setting means: relative ones hang below their parents. "" if it is switched off."""
    value = (settings.get(name) or [""])[0]
    if not value:
        return ""
    parent = name.rpartition("::")[0]
    while parent and not value.startswith(("/", "./")):
        value = os.path.join((settings.get(parent) or [""])[0], value)
        parent = parent.rpartition("::")[0]
    return os.path.normpath("/" + value.lstrip("/"))


def _source_files(settings: Mapping[str, List[str]]) -> Tuple[str, ...]:
    parts = setting_path(settings, "dir::etc::sourceparts")
    paths = [setting_path(settings, "dir::etc::sourcelist")]
    try:
        names = sorted(os.listdir(parts))[:_MAX_SOURCE_FILES] if parts else []
    except OSError:
        names = []
    paths += [os.path.join(parts, name) for name in names if name.endswith((".list", ".sources"))]
    return tuple(path for path in paths if path and os.path.isfile(path))


def _list_names(folder: str) -> List[str]:
    try:
        return [name for name in os.listdir(folder) if name not in _NO_LISTS]
    except OSError:
        return []


def _made(path: str) -> str:
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError:
        return ""
    return path if os.access(path, os.W_OK) else ""


def _mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
