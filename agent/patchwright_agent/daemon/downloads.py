"""aws:downloadContent: files for later steps. Source: spec/operations.md 2.3.

From HTTP a child fetches, so that it can be cancelled, its time is bounded, and the daemon stays small.
"""

import json
import os
import sys

from patchwright_agent.daemon import environment, nested, outcomes, plugins, steps, storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from patchwright_agent.daemon.documents import Step
    from patchwright_agent.daemon.plugins import Place


def download_content(step: "Step", place: "Place", folder: steps.StepFolder) -> steps.Outcome:
    """Fetch what a step names. Raises Abandoned, ValueError, OSError, StorageError."""
    kind = step.inputs.get("sourceType")
    source = plugins.object_of(step.inputs.get("sourceInfo"), "sourceInfo")
    storage.prepare_dir(place.downloads)
    if kind == "SSMDocument":
        return _document(source, step, place)
    if kind != "HTTP":
        raise ValueError("this agent downloads from HTTP and SSMDocument, not from %s" % str(kind)[:40])
    url = source.get("url")
    if not isinstance(url, str):
        raise ValueError("sourceInfo has no url")
    name = os.path.basename(url.partition("?")[0].partition("#")[0]) or "download"
    target = destination(step.inputs.get("destinationPath"), name, place)
    order = os.path.join(place.command_dir, "fetch-%s.json" % folder.label)
    # A file, not arguments: these are seen by every user of the host.
    storage.write_json(order, {"source": source, "target": target})
    argv = [sys.executable, environment.agent_path(), "fetch", order]
    timeout = steps.timeout_seconds(step.setting("timeoutSeconds"))
    try:
        return steps.run_program(argv, folder, place.variables(step), timeout, place.control)
    finally:
        os.unlink(order)


def _document(source: "Dict[str, Any]", step: "Step", place: "Place") -> steps.Outcome:
    name, content = nested.fetch(str(source.get("name")), place)
    target = destination(step.inputs.get("destinationPath"), name.rsplit("/", 1)[-1] + ".json", place)
    storage.write_atomically(target, json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    return steps.Outcome(outcomes.SUCCESS, 0, ("Content downloaded to %s\n" % target).encode("utf-8", "replace"), b"")


def destination(wanted: "Any", name: str, place: "Place") -> str:
    """The file that a download becomes: `wanted` is a file, or a folder where it ends with / or is one.

    What is relative stays below the command's downloads. Raises ValueError.
    """
    if wanted in (None, ""):
        wanted = "./"
    if not isinstance(wanted, str) or "\0" in wanted:
        raise ValueError("destinationPath is not a path")
    path = os.path.normpath(os.path.join(place.downloads, wanted))
    is_below = path == place.downloads or path.startswith(place.downloads + os.sep)
    if not os.path.isabs(wanted) and not is_below:
        raise ValueError("destinationPath leads out of the folder of downloads")
    if wanted.endswith("/") or os.path.isdir(path):
        if name in ("", ".", ".."):
            raise ValueError("what is downloaded has no name")
        path = os.path.join(path, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return path
