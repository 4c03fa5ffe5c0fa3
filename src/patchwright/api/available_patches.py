"""What is on offer, and what a baseline says of it. Source: patch-baselines.md 8, 9."""

from bisect import bisect_right
from typing import Any

from patchwright.api.baseline_ids import authorized
from patchwright.api.context import Answer, Context, Request
from patchwright.api.orchestrator_filters import orchestrator_filters
from patchwright.api.registry import registry
from patchwright.core.available import gravest, parts_of, repositories_of
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.patch_properties import properties
from patchwright.core.values import OperatingSystem
from patchwright.flows.effective_patches import EffectivePatch, effective_patches
from patchwright.flows.find_baseline import find_baseline
from patchwright.store import available
from patchwright.store.available import AvailablePatch

MAX_PAGE = 100
MAX_PROPERTIES = 50
MAX_ID = 100
LINUX_KEYS = (
    "PRODUCT", "NAME", "SEVERITY", "EPOCH", "VERSION", "RELEASE", "ARCH", "REPOSITORY", "ADVISORY_ID", "CVE_ID",
    "BUGZILLA_ID", "CLASSIFICATION",
)  # fmt: skip
WINDOWS_KEYS = ("PATCH_SET", "PRODUCT_FAMILY", "MSRC_SEVERITY", "PATCH_ID")
"""Those that only Windows has. No node of Windows reports what it is offered yet, so that they find nothing."""


@registry.serves("DescribeAvailablePatches", reads=True)
def describe_available_patches(ctx: Context, req: Request) -> Answer:
    """What nodes reported as on offer for the products named, the latest first."""
    ctx.require("*")
    filters = orchestrator_filters(req.get("Filters"), (*LINUX_KEYS, *WINDOWS_KEYS))
    wanted = dict(filters)
    if len(wanted) < len(filters):
        raise Invalid(Kind.FILTER, "A filter key is given twice.")
    if not wanted or not wanted.keys().isdisjoint(WINDOWS_KEYS):
        return {"Patches": []}
    if "PRODUCT" not in wanted:
        raise Invalid(Kind.FILTER, "The filter PRODUCT is needed to list the patches of Linux, Debian12 for example.")
    if any(not (value.isascii() and value.isdigit() and len(value) < 10) for value in wanted.get("EPOCH", ())):
        raise Invalid(Kind.FILTER, "A value of EPOCH is a whole number of up to nine digits.")
    size = req.get("MaxResults", MAX_PAGE)
    found = available.search(ctx.tx, ctx.scope, wanted, after=ctx.cursor(req), limit=size + 1)
    page = found[:size]
    cursor = page[-1].place if len(found) > size else None
    return {"Patches": [patch_to(patch) for patch in page], "NextToken": ctx.page(req, cursor)}


@registry.serves("DescribeEffectivePatchesForPatchBaseline", reads=True)
def describe_effective_patches(ctx: Context, req: Request) -> Answer:
    """What is on offer for the baseline's system and is approved, waits, or is decided by a list."""
    baseline_id = authorized(ctx, req["BaselineId"])
    stored = find_baseline(ctx.tx, ctx.scope, baseline_id)
    if stored is None:
        raise NotFound(Kind.BASELINE, "Patch Baseline does not exist.", id=baseline_id)
    every = effective_patches(ctx.tx, ctx.scope, stored, ctx.now, ctx.service.apt_delays)
    cursor = ctx.cursor(req)
    first = 0 if cursor is None else bisect_right(every, cursor, key=lambda one: one.place)
    page = every[first : first + req.get("MaxResults", MAX_PAGE)]
    last = page[-1].place if first + len(page) < len(every) else None
    return {"EffectivePatches": [_effective_to(one) for one in page], "NextToken": ctx.page(req, last)}


@registry.serves("DescribePatchProperties", reads=True)
def describe_patch_properties(ctx: Context, req: Request) -> Answer:
    """The values that a rule's filter may name; products of the account's own nodes are among them."""
    ctx.require("*")
    system = OperatingSystem(req["OperatingSystem"])
    reported = available.products(ctx.tx, ctx.scope, system)
    names = properties(system, req["Property"], req.get("PatchSet"), reported)
    cursor, size = ctx.cursor(req), req.get("MaxResults", MAX_PROPERTIES)
    left = [name for name in names if cursor is None or name > cursor]
    token = ctx.page(req, left[size - 1]) if len(left) > size else None
    return {"Properties": [{"Name": name} for name in left[:size]], "NextToken": token}


def patch_to(patch: AvailablePatch) -> dict[str, Any]:
    """A patch in AWS's shape. Of an rpm the release's name, of a Debian package its revision is Release."""
    version, parts = patch.version, parts_of(patch.version)
    classification, severity = gravest(version, patch.product)
    notices = version.notices
    return {
        "Id": version.title if len(version.title) <= MAX_ID else f"patch-{patch.id}",
        "Title": version.title,
        "ReleaseDate": patch.released_at,
        "Vendor": next((r.origin for r in version.repositories if r.origin), None),
        "Product": patch.product,
        "ProductFamily": patch.operating_system,
        "Classification": classification or None,
        "Severity": severity or None,
        "AdvisoryIds": [notice.id for notice in notices],
        "BugzillaIds": sorted({bug for notice in notices for bug in notice.bugzillas}),
        "CVEIds": sorted({cve for notice in notices for cve in notice.cves}),
        "Name": version.name,
        "Epoch": parts.epoch,
        "Version": parts.version,
        "Release": parts.release or None,
        "Arch": version.arch,
        "Repository": ", ".join(repositories_of(version)) or None,
    }


def _effective_to(one: EffectivePatch) -> dict[str, Any]:
    status = {
        "DeploymentStatus": one.said.status,
        "ComplianceLevel": one.said.level,
        "ApprovalDate": one.said.approval_date,
    }
    return {"Patch": patch_to(one.patch), "PatchStatus": status}
