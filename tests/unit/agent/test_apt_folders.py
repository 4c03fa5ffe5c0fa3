"""Which lists and caches a run uses: the system's are read and never written."""

import os
from pathlib import Path

import pytest

from patchwright_agent.managers import apt_folders, locks
from patchwright_agent.managers.apt_refresh import refresh_complaint
from patchwright_agent.managers.errors import ManagerError


def settings(root: Path) -> dict[str, list[str]]:
    """apt's settings of a root, as `apt-config dump` has them."""
    for folder in ("etc/apt/sources.list.d", "var/lib/apt/lists/partial", "var/cache/apt"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return {
        "dir": [f"{root}/"],
        "dir::state": ["var/lib/apt"],
        "dir::state::lists": ["lists/"],
        "dir::state::status": [f"{root}/status"],
        "dir::cache": ["var/cache/apt"],
        "dir::cache::pkgcache": ["pkgcache.bin"],
        "dir::etc": ["etc/apt"],
        "dir::etc::sourcelist": ["sources.list"],
        "dir::etc::sourceparts": ["sources.list.d"],
        "apt::architecture": ["amd64"],
    }


def test_relative_settings_hang_below_their_parents(tmp_path: Path) -> None:
    folders = apt_folders.folders_for(settings(tmp_path), str(tmp_path / "own"), own_lists=False)
    assert folders.lists == f"{tmp_path}/var/lib/apt/lists"
    assert folders.system_cache == f"{tmp_path}/var/cache/apt/pkgcache.bin"
    assert (folders.native_arch, folders.owns_lists) == ("amd64", False)
    assert f"Dir::Cache::pkgcache={tmp_path}/own/cache/pkgcache.bin" in folders.options
    assert not any("lists" in option for option in folders.options)


def test_a_switched_off_system_cache_stays_unused(tmp_path: Path) -> None:
    off = dict(settings(tmp_path), **{"dir::cache::pkgcache": [""]})
    folders = apt_folders.folders_for(off, str(tmp_path / "own"), own_lists=False)
    apt_folders.borrow_system_cache(folders)
    assert (folders.system_cache, os.path.lexists(folders.cache)) == ("", False)


def test_a_newer_system_cache_is_borrowed_by_link_and_an_older_one_is_not(tmp_path: Path) -> None:
    folders = apt_folders.folders_for(settings(tmp_path), str(tmp_path / "own"), own_lists=False)
    system, own = Path(folders.system_cache), Path(folders.cache)
    system.write_text("theirs")
    apt_folders.borrow_system_cache(folders)
    assert own.is_symlink()
    own.unlink()
    own.write_text("ours")
    os.utime(system, (1, 1))
    apt_folders.borrow_system_cache(folders)
    assert (own.is_symlink(), own.read_text()) == (False, "ours")


def test_own_lists_follow_the_systems_and_keep_what_is_newer(tmp_path: Path) -> None:
    folders = apt_folders.folders_for(settings(tmp_path), str(tmp_path / "own"), own_lists=True)
    system, own = tmp_path / "var/lib/apt/lists", tmp_path / "own/lists"
    for name in ("a_Packages", "b_Packages", "lock"):
        (system / name).write_text("theirs")
    (own / "b_Packages").write_text("newer")
    os.utime(system / "b_Packages", (1, 1))
    (own / "c_Packages").symlink_to(system / "c_Packages")  # a source that the system has dropped

    apt_folders.seed_lists(folders, str(system), copy=False)

    assert sorted(path.name for path in own.iterdir()) == ["a_Packages", "b_Packages", "partial"]
    assert (own / "a_Packages").is_symlink()
    assert (own / "b_Packages").read_text() == "newer"
    apt_folders.seed_lists(folders, str(system), copy=True)  # apt is going to write here
    assert not (own / "a_Packages").is_symlink()
    assert (system / "a_Packages").read_text() == (own / "a_Packages").read_text() == "theirs"


def test_own_lists_need_a_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManagerError, match="--index-dir"):
        apt_folders.folders_for(settings(tmp_path), str(tmp_path / "file" / "own"), own_lists=True)


def test_the_sources_digest_follows_definitions_and_not_comments(tmp_path: Path) -> None:
    known = settings(tmp_path)
    source = tmp_path / "etc/apt/sources.list"
    digests = []
    for content in ("deb http://a s main\n", "# why\n\ndeb http://a s main  \n", "deb http://a s main contrib\n"):
        source.write_text(content)
        folders = apt_folders.folders_for(known, str(tmp_path / "own"), own_lists=False)
        digests.append(apt_folders.sources_digest(folders.source_files))
    assert digests[0] == digests[1] != digests[2]


def test_a_held_lock_is_found_by_its_inode_where_it_cannot_be_opened() -> None:
    content = (
        "1: FLOCK  ADVISORY  WRITE 10 fd:01:77 0 EOF\n"
        "2: POSIX  ADVISORY  WRITE 11 fd:01:78 0 EOF\n"
        "3: -> POSIX  ADVISORY  WRITE 12 fd:01:77 0 EOF\n"
        "4: POSIX  ADVISORY  WRITE 13 fd:01:77 0 EOF\n"
    )
    assert locks.parse_proc_locks(content, "fd:01:77") == 13
    assert locks.parse_proc_locks(content, "fd:01:79") is None


def test_a_refresh_that_left_old_indexes_is_no_success() -> None:
    warned = "W: Failed to fetch http://x/InRelease  404\nW: Some index files failed to download.\n"
    assert refresh_complaint(warned) == "Failed to fetch http://x/InRelease  404"
    assert refresh_complaint("W: Target Packages is configured multiple times\n") == ""
