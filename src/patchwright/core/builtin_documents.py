"""The documents that every server has, and which of their steps start the patch worker. Source: operations.md 2.5."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from patchwright.core import builtin_patch_documents, builtin_run_documents
from patchwright.core.builtin_patch_documents import (
    PLAN_PATCHES,
    RUN_FOR_ASSOCIATION,
    RUN_PATCH_BASELINE,
    RUN_WITH_HOOKS,
)
from patchwright.core.documents import Document
from patchwright.core.worker_script import REMOVE_WORKER_DOCUMENT

BUILTIN_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""What is shown as their date: that of no file, so that every server says the same."""
PATCH_DOCUMENTS = frozenset({RUN_PATCH_BASELINE, RUN_FOR_ASSOCIATION, RUN_WITH_HOOKS, PLAN_PATCHES})
"""They start the patch worker: their steps that do, and no others, are delivered with a run token."""
BUILTIN: dict[str, Document] = {
    # Their texts are written once: every command of theirs is measured by them.
    document.name: replace(document, source=document.text)
    for document in (*builtin_patch_documents.DOCUMENTS, *builtin_run_documents.DOCUMENTS, REMOVE_WORKER_DOCUMENT)
}


def worker_steps(document_name: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    """The steps of a command that start the worker; none for anybody else's document, whatever it holds.

    A hook runs somebody's own document: it must not speak as a worker.
    """
    if document_name not in PATCH_DOCUMENTS:
        return ()
    return tuple(step["name"] for step in content["mainSteps"] if step["action"] != "aws:runDocument")
