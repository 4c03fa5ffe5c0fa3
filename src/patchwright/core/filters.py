"""Facets: what a patch filter can see of a version; and whether one filter accepts them."""

from dataclasses import dataclass
from functools import lru_cache

from patchwright.core.baselines import FilterKey, PatchFilter
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.values import Family

ANY_VALUE = "*"
RPM_FAMILIES = frozenset({Family.YUM, Family.DNF, Family.ZYPPER})
SECURITY_CLASSIFICATIONS = frozenset({"security", "securityupdates"})
"""Lower-case classifications that count in SecurityNonCompliantCount. Source: patch-baselines.md 6.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The filterable side of one version in one notice. "" is a missing value, which only `*` accepts.

    `security` decides without the non-security flags: in a notice (yum, dnf), in a security archive
    (apt), flagged so (macOS), always (SUSE, Windows). Source: patch-baselines.md 1.6, 3.4.
    """

    family: Family
    products: tuple[str, ...]
    security: bool
    classification: str = ""
    severity: str = ""
    priority: str = ""
    section: str = ""
    patch_set: str = ""
    product_family: str = ""

    def value_of(self, key: FilterKey) -> tuple[str, ...]:
        """The values that a filter with `key` is compared with; () where the value is missing."""
        match key:
            case FilterKey.PRODUCT:
                return self.products
            case FilterKey.CLASSIFICATION:
                value = self.classification
            case FilterKey.SEVERITY | FilterKey.MSRC_SEVERITY:
                value = self.severity
            case FilterKey.PRIORITY:
                value = self.priority
            case FilterKey.SECTION:
                value = self.section
            case FilterKey.PATCH_SET:
                value = self.patch_set
            case FilterKey.PRODUCT_FAMILY:
                value = self.product_family
            case _:
                value = ""
        return (value,) if value else ()


def is_security(version: PackageVersion) -> bool:
    """Whether `version` is eligible without a non-security flag. Source: patch-baselines.md 3.4 with its DECISION."""
    match version.family:
        case Family.APT:
            return any(repository.is_security for repository in version.repositories)
        case Family.YUM | Family.DNF:
            return bool(version.notices)
        case Family.MACOS:
            return any(notice.classification.lower() == "security" for notice in version.notices)
        case Family.ZYPPER | Family.WINDOWS:
            return True


def facets_of(version: PackageVersion, product: str) -> tuple[tuple[Facets, Notice | None], ...]:
    """One element per notice that lists `version`, and exactly one where none does. `product` is the node's."""
    family, security = version.family, is_security(version)
    products = (product,) if product else ()
    if family is Family.APT:
        facets = Facets(
            family=family,
            products=products,
            security=security,
            classification="Security" if security else "",
            priority=version.priority,
            section=version.section,
        )
        return ((facets, None),)
    if version.update is not None:
        update = version.update
        facets = Facets(
            family=family,
            products=update.products or products,
            security=security,
            classification=update.classification,
            severity=update.severity,
            patch_set=update.patch_set,
            product_family=update.product_family,
        )
        return ((facets, None),)
    if not version.notices:
        return ((Facets(family=family, products=products, security=security), None),)
    return tuple((_notice_facets(family, products, security, notice), notice) for notice in version.notices)


def _notice_facets(family: Family, products: tuple[str, ...], security: bool, notice: Notice) -> Facets:
    severity = notice.severity
    if not severity and family in (Family.YUM, Family.DNF):
        severity = "None"  # an absent severity is the value None there: patch-baselines.md 4.2
    return Facets(
        family=family, products=products, security=security, classification=notice.classification, severity=severity
    )


def matches(filter: PatchFilter, facets: Facets) -> bool:
    """Whether one filter accepts the facets: any of its values does.

    `*` accepts everything, a missing value too; a concrete list never accepts a missing value; case
    does not matter; Medium and Moderate are one on rpm systems; a product's major-only form accepts
    all its minor releases. Source: patch-baselines.md 1.3, 3.6 with their DECISIONs.
    """
    wanted = _wanted(filter, facets.family in RPM_FAMILIES)
    if wanted is None:
        return True
    have = (value.lower() for value in facets.value_of(filter.key))
    if filter.key is FilterKey.PRODUCT:
        return any(form in wanted for value in have for form in _product_forms(value))
    return any(value in wanted for value in have)


def _product_forms(product: str) -> tuple[str, ...]:
    major = product.partition(".")[0]
    forms = (product,) if major == product else (product, major)
    # Amazon Linux 2 goes by two names, of which a node has one. Source: patch-baselines.md 1.3.
    return (*forms, "amazonlinux2.0") if "amazonlinux2" in forms else forms


@lru_cache(maxsize=4096)
def _wanted(filter: PatchFilter, rpm: bool) -> frozenset[str] | None:
    """The values in lower case; None for any value."""
    if ANY_VALUE in filter.values:
        return None
    values = {value.lower() for value in filter.values}
    if rpm and filter.key is FilterKey.SEVERITY and values & {"medium", "moderate"}:
        values |= {"medium", "moderate"}
    return frozenset(values)


def said_no(filter: PatchFilter, facets: Facets) -> str:
    """In words, why `filter` does not accept `facets`."""
    have = ", ".join(facets.value_of(filter.key)) or "missing"
    return f"{filter.key} is {have}, the filter wants {' or '.join(filter.values)}"
