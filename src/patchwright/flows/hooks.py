"""AWS-RunPatchBaselineWithHooks: what each of its worker steps does, and whether it goes on after the scan.

Source: patch-baselines.md 5.3.
"""

from collections.abc import Mapping
from typing import Any

from patchwright.core.builtin_patch_documents import INSTALL_STEP, RUN_WITH_HOOKS, SCAN_STEP
from patchwright.core.document_parameters import delivered_parameters
from patchwright.core.documents import Document
from patchwright.core.values import PatchOperation, RebootOption
from patchwright.store import commands
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

EXIT_WITH_SUCCESS = 168
"""A step that succeeded, after which the others but the last are skipped. Source: operations.md 2.3."""


def order_of(document_name: str, step: str, values: Mapping[str, Any]) -> tuple[PatchOperation, RebootOption]:
    """The operation and the reboot option of a step that starts the worker."""
    if document_name != RUN_WITH_HOOKS:
        return PatchOperation(values["Operation"]), RebootOption(values["RebootOption"])
    if step == SCAN_STEP:
        return PatchOperation.SCAN, RebootOption(values["RebootOption"])
    # The hook after the install comes before any reboot, so a step of its own reboots.
    option = RebootOption.NO_REBOOT if step == INSTALL_STEP else RebootOption.REBOOT_IF_NEEDED
    return PatchOperation.INSTALL, option


def step_code(tx: Tx, run: PatchRun, code: int) -> int:
    """What the worker's step ends with: 168 after the first scan if nothing is left to do, else `code`."""
    if run.step != SCAN_STEP or code != 0 or run.command_id is None:
        return code
    command = commands.get(tx, run.command_id)
    if command.document_name != RUN_WITH_HOOKS:
        return code
    document = Document(name=command.document_name, version="1", content=command.content)
    values = delivered_parameters(document, command.parameters)
    if values["Operation"] == PatchOperation.SCAN:
        return EXIT_WITH_SUCCESS
    counts = (run.result or {}).get("counts", {})
    waits = counts.get("installed_pending_reboot", 0) > 0 and values["RebootOption"] == RebootOption.REBOOT_IF_NEEDED
    needed = counts.get("missing", 0) + counts.get("failed", 0) > 0
    return 0 if needed or waits else EXIT_WITH_SUCCESS
