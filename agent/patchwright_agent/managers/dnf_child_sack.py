"""dnf's configuration, repositories and sack, opened as the `dnf` command opens them. Runs in the child only."""

import configparser
import glob
import os
from typing import Any, Dict, List

import dnf
import dnf.exceptions
import dnf.lock
import dnf.repo
import hawkey

# Whether metadata are fetched whatever their age, where there are none, or not at all.
FETCH_ALWAYS = "always"
FETCH_MISSING = "missing"
FETCH_NEVER = "never"
FETCH_NONE = "none"  # not even from the cache: the installed packages alone
# The files of plugins that serve the command line and nothing else: they expect one, and importing them takes as long
# as loading a repository.
COMMAND_PLUGINS = (
    ["builddep", "changelog", "config_manager", "copr", "debug", "debuginfo-install", "download", "groups_manager"]
    + ["generate_completion_cache", "leaves", "modulesync", "needs_restarting", "repoclosure", "repodiff", "repograph"]
    + ["repomanage", "reposync", "show_leaves"]
)


class Opened:
    """A dnf.Base with its sack. `failures` are rows of repository id, message, and whether the cache was read."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.failures = []  # type: List[List[Any]]
        self.expired = []  # type: List[str]


def configured(request: Dict[str, Any], disabled_plugins: List[str]) -> Any:
    """A Base with main configuration, plugins and repositories read; nothing is loaded yet.

    `request`: `fetch`, one of the words above; `cache_dir`, "" for the system's own; `releasever`, "" for what the host
    says. Plugins may bring repositories of their own (Red Hat's subscriptions, Uyuni), so they are asked.
    """
    base = dnf.Base()
    base.conf.read()
    base.conf.assumeyes = True  # as `dnf -y`: repositories' keys are imported when they are first needed
    if request.get("cache_dir"):
        base.conf.cachedir = request["cache_dir"]
    base.conf.cacheonly = request["fetch"] == FETCH_NEVER
    if request["fetch"] == FETCH_NONE:
        return base
    if request.get("releasever"):
        base.conf.substitutions["releasever"] = request["releasever"]
    base.init_plugins(disabled_glob=disabled_plugins + _switched_off(list(base.conf.pluginconfpath)))
    base.pre_configure_plugins()
    base.read_all_repos()
    base.configure_plugins()
    return base


def _switched_off(conf_folders: List[str]) -> List[str]:
    """The plugins whose own configuration says `enabled=0`. dnf forgets them too, but imports them first."""
    found = []
    for path in [path for folder in conf_folders for path in glob.glob(os.path.join(folder, "*.conf"))]:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path, encoding="utf-8")
            if not parser.getboolean("main", "enabled", fallback=True):
                found.append(os.path.basename(path)[: -len(".conf")])
        except (configparser.Error, ValueError):
            continue  # dnf says so
    return found


def closed(base: Any) -> None:
    """Give up a Base, so that another may be configured in this process."""
    base.unload_plugins()
    base.close()


def fill(base: Any, fetch: str) -> Opened:
    """Load the metadata and fill the sack. A repository that can't be fetched is read from the cache, or left out.

    Raises dnf's errors where the rpm database can't be read.
    """
    if fetch == FETCH_NONE:
        base.fill_sack(load_available_repos=False)
        return Opened(base)
    opened = loaded(base, fetch)
    base.fill_sack()
    return opened


def loaded(base: Any, fetch: str) -> Opened:
    """The first half of `fill`: the metadata are on hand, nothing of them is in a sack yet."""
    opened = Opened(base)
    with dnf.lock.build_metadata_lock(base.conf.cachedir, base.conf.exit_on_lock):
        for repo in list(base.repos.iter_enabled()):
            _load(opened, repo, fetch)
    return opened


def fill_with(base: Any, filelists: bool, updateinfo: bool) -> None:
    """The second half, in part: lists of files and update notices take as long to read as all the rest.

    May be called again for more. What was made of an earlier sack is void then.
    """

    def add(repo: Any) -> None:  # as Base._add_repo_to_sack does
        repo.load()
        try:
            base.sack.load_repo(
                repo._repo,
                build_cache=True,
                load_filelists=filelists,
                load_presto=False,
                load_updateinfo=updateinfo,
            )
        except hawkey.Exception as error:
            raise dnf.exceptions.RepoError("Loading repository '%s' has failed: %s" % (repo.id, error))

    base._add_repo_to_sack = add
    base.fill_sack()


def _load(opened: Opened, repo: Any, fetch: str) -> None:
    if fetch == FETCH_ALWAYS:
        repo._repo.expire()  # what `dnf --refresh` does
    elif fetch == FETCH_MISSING:
        repo.metadata_expire = -1
    try:
        repo.load()
        if fetch == FETCH_NEVER and repo.metadata_expire != -1 and repo._repo.getExpiresIn() < 0:
            opened.expired.append(repo.id)
        return
    except dnf.exceptions.RepoError as error:
        message = str(error)
    cached = fetch == FETCH_ALWAYS and _load_from_cache(repo)
    if not cached:
        repo.disable()
    opened.failures.append([repo.id, message, cached])


def _load_from_cache(repo: Any) -> bool:
    repo._repo.setSyncStrategy(dnf.repo.SYNC_ONLY_CACHE)
    try:
        repo.load()
    except dnf.exceptions.RepoError:
        return False
    return True


def evr(package: Any) -> str:
    """Epoch:version-release, the epoch always printed."""
    return "%d:%s-%s" % (package.epoch, package.version, package.release)
