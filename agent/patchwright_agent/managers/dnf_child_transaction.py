"""Simulates, downloads and applies with dnf's own machinery. Runs in the child only; see dnf_child."""

import logging
import os
import sys
from typing import Any, Dict, List

import dnf
import dnf.callback
import dnf.exceptions
import dnf.lock
import dnf.yum.rpmtrans

from patchwright_agent.managers import dnf_child_resolve
from patchwright_agent.managers.dnf_child_resolve import Resolver, Unresolved
from patchwright_agent.managers.dnf_child_sack import evr

# How a transaction that did not happen is called in the answer.
DIFFERS, DOWNLOAD, SIGNATURE, LOCKED, TRANSACTION = "differs", "download", "signature", "locked", "transaction"
_MAX_SAID = 2000


class Display(dnf.yum.rpmtrans.TransactionDisplay):
    """Hears what scripts print and which of them fail. dnf's log has it all too, and goes to standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = []  # type: List[List[str]]
        self._said = ""

    def progress(self, *event: Any) -> None:
        if event[1] == dnf.callback.PKG_SCRIPTLET:  # a script begins: what the one before it said is not its
            self._said = ""
            sys.stderr.write("Running scriptlet: %s\n" % event[0])  # worker/stall.py reads it, should it hang
            sys.stderr.flush()

    def scriptout(self, msgs: Any) -> None:
        if msgs:  # bytes, as the script printed them
            self._said = (msgs.decode("utf-8", "replace") if isinstance(msgs, bytes) else str(msgs))[-_MAX_SAID:]

    def error(self, message: str) -> None:
        self.errors.append([message, self._said])


def simulate(request: Dict[str, Any]) -> Dict[str, Any]:
    """`request`: `fetch`, `cache_dir`, `available`, and what dnf_child_resolve.questions answers."""
    return {"answers": dnf_child_resolve.questions(Resolver(request), request)}


def ready(request: Dict[str, Any]) -> Dict[str, Any]:
    """What is installed; of `items` the bytes to download and where to, and by how much the installed packages grow."""
    resolver = Resolver(dict(request, available=request["items"]))
    sizes = {"download": 0, "growth": 0, "largest": 0}
    for row in request["items"]:
        for package in resolver.offered(row)[:1]:
            if not os.path.exists(package.localPkg()):
                sizes["download"] += package.downloadsize
            before = resolver.newest_installed(package)
            sizes["growth"] += max(package.installsize - (before.installsize if before is not None else 0), 0)
            sizes["largest"] = max(sizes["largest"], package.installsize)
    return dict(resolver.database(), cache_dir=resolver.base.conf.cachedir, **sizes)


def download(request: Dict[str, Any]) -> Dict[str, Any]:
    """Fetch what installing `items` needs; nothing is changed. `problem` is dnf's words, "" if all is there.

    dnf keeps the files until its next successful transaction, so `apply` finds them.
    """
    resolver = Resolver(dict(request, available=request["items"]))
    base = resolver.base
    try:
        resolver.mark(base._goal, [row for row in request["items"] if row[2]])
        base.resolve(allow_erasing=False)
        if base.transaction:
            base.download_packages(list(base.transaction.install_set))
    except (Unresolved, dnf.exceptions.DepsolveError):
        return {"problem": ""}  # the last simulation says so, and asks for another Plan
    except (dnf.exceptions.DownloadError, OSError) as error:
        return {"problem": str(error)}
    return {"problem": ""}


def apply(request: Dict[str, Any]) -> Dict[str, Any]:
    """Install exactly `items`: check that dnf comes to that very set, download, check signatures, one transaction.

    The answer's `refused` says why nothing was changed, in one of the words above; `errors` are rows of what rpm said
    of a failed script and what the script printed.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    resolver = Resolver(dict(request, available=request["items"]))
    base = resolver.base
    base.conf.exit_on_lock = True
    base.args = ["patchwright-agent"]  # stands in `dnf history` as the command line
    try:
        # What comes in anew comes as a dependency, so that dnf remembers it as one.
        resolver.mark(base._goal, [row for row in request["items"] if row[2]])
        base.resolve(allow_erasing=False)
    except (Unresolved, dnf.exceptions.DepsolveError) as error:
        return _refused(DIFFERS, error)
    outcome = resolver.outcome(base._goal)
    difference = _difference(outcome, request["items"])
    if difference:
        return _refused(DIFFERS, difference)
    return _carried_out(base, outcome["limited"])


def mend(request: Dict[str, Any]) -> Dict[str, Any]:
    """What `dnf remove --duplicates` does after an interrupted transaction, but with the versions of `items` alone.

    Whoever needs the older of two versions comes in as the items say. Refused where that would not do.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    resolver = Resolver(dict(request, available=request["items"]))
    base = resolver.base
    base.conf.exit_on_lock = True
    base.args = ["patchwright-agent"]
    installed = base.sack.query().installed()
    older = []  # type: List[str]
    for packages in installed.duplicated().difference(base._get_installonly_query(installed))._na_dict().values():
        newest_first = sorted(packages, reverse=True)
        for package in newest_first[1:]:
            base.package_remove(package)
            older.append(str(package))
        if len(packages) > 1:
            try:
                base.reinstall(str(newest_first[0]))  # its scripts may not have run to their end
            except dnf.exceptions.PackagesNotAvailableError as error:
                sys.stderr.write("%s\n" % error)
    try:
        base.resolve(allow_erasing=False)
    except dnf.exceptions.DepsolveError as error:
        return _refused(DIFFERS, error)
    outcome = resolver.outcome(base._goal)
    gone = {str(package) for package in base._goal.list_erasures() + base._goal.list_obsoleted()} - set(older)
    planned = {(row[0], row[3]) for row in request["items"]}
    foreign = [row for row in outcome["changes"] if (row[0], row[3]) not in planned]
    if gone or foreign or outcome["problem"]:
        return _refused(DIFFERS, "it would change more than the Plan does: %s" % (sorted(gone) + foreign))
    return _carried_out(base, [])


def _carried_out(base: Any, limited: List[str]) -> Dict[str, Any]:
    """Download, check the signatures, run the transaction that was resolved."""
    try:
        packages = list(base.transaction.install_set)
        base.download_packages(packages)
    except (dnf.exceptions.DownloadError, OSError) as error:
        return _refused(DOWNLOAD, error)
    unsigned = _signatures(base, packages)
    if unsigned:
        return _refused(SIGNATURE, unsigned)
    display = Display()
    answer = {"limited": limited, "errors": display.errors}  # type: Dict[str, Any]
    try:
        base.do_transaction(display)
    except dnf.exceptions.LockError as error:
        return dict(answer, **_refused(LOCKED, error))
    except dnf.exceptions.Error as error:
        return dict(answer, **_refused(TRANSACTION, error))
    return answer


def _refused(word: str, error: Any) -> Dict[str, Any]:
    return {"refused": word, "error": str(error)}


def _difference(outcome: Dict[str, Any], items: Any) -> str:
    """In what dnf's set differs from the items, "" if in nothing."""
    if outcome["problem"] or outcome["removed"]:
        return outcome["problem"] or "%s.%s would be removed" % tuple(outcome["removed"][0])
    planned, found = {tuple(row) for row in items}, {tuple(row) for row in outcome["changes"]}
    for row in sorted(found - planned):
        return "%s %s would come in, which is not in the Plan" % (row[0], row[3])
    for row in sorted(planned - found):
        return "%s %s would not come in" % (row[0], row[3])
    return ""


def _signatures(base: Any, packages: List[Any]) -> str:
    """Check each package as its repository wants it, importing the repository's keys where that may help: `dnf -y`.

    The first package that is not signed well, in dnf's words; "" if all are.
    """
    for package in packages:
        result, message = base.package_signature_check(package)
        if result == 1:
            try:
                base.package_import_key(package)
                result, message = base.package_signature_check(package)
            except (dnf.exceptions.Error, ValueError, OSError) as error:
                result, message = 2, "%s: %s" % (message, error)
        if result:
            return "%s-%s.%s: %s" % (package.name, evr(package), package.arch, message)
    return ""


WORDS = {"simulate": simulate, "ready": ready, "download": download, "apply": apply, "mend": mend}
