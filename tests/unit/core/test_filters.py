"""What one filter accepts. Source: spec/patch-baselines.md 1.3, 3.6."""

from dataclasses import replace

import pytest
from tests.unit.core.builders import SECURITY, UNSIGNED, UPDATES, deb, notice, only, rpm

from patchwright.core.baselines import FilterKey
from patchwright.core.filters import Facets, facets_of, is_security, matches
from patchwright.core.patches import Repository
from patchwright.core.values import Family

RPM = Facets(family=Family.DNF, products=("RedhatEnterpriseLinux8.4",), security=True, severity="Moderate")


@pytest.mark.parametrize(
    ("key", "values", "accepted"),
    [
        (FilterKey.SEVERITY, ("Medium",), True),
        (FilterKey.SEVERITY, ("moderate",), True),
        (FilterKey.SEVERITY, ("Low", "MEDIUM"), True),
        (FilterKey.SEVERITY, ("Low",), False),
        (FilterKey.CLASSIFICATION, ("*",), True),
        (FilterKey.CLASSIFICATION, ("Security",), False),
        (FilterKey.PRODUCT, ("*",), True),
        (FilterKey.PRODUCT, ("RedhatEnterpriseLinux8.4",), True),
        (FilterKey.PRODUCT, ("RedhatEnterpriseLinux8",), True),
        (FilterKey.PRODUCT, ("RedhatEnterpriseLinux8.3",), False),
        (FilterKey.PRODUCT, ("RedhatEnterpriseLinux",), False),
        (FilterKey.PRODUCT, ("RedhatEnterpriseLinux9",), False),
        (FilterKey.ADVISORY_ID, ("RHSA-1",), False),
    ],
)
def test_a_filter(key, values, accepted):
    assert matches(only(key, *values), RPM) is accepted


def test_medium_and_moderate_are_one_on_rpm_systems_only():
    windows = replace(RPM, family=Family.WINDOWS)
    assert not matches(only(FilterKey.MSRC_SEVERITY, "Medium"), windows)


def test_amazon_linux_2_has_two_product_names():
    node = replace(RPM, products=("AmazonLinux2",))
    assert matches(only(FilterKey.PRODUCT, "AmazonLinux2.0"), node)
    assert not matches(only(FilterKey.PRODUCT, "AmazonLinux2.0"), replace(RPM, products=("AmazonLinux2023",)))


def test_a_notice_without_severity_has_the_value_none():
    ((facets, _),) = facets_of(rpm("a", "1-1", notice(severity="")), "AlmaLinux9.2")
    assert matches(only(FilterKey.SEVERITY, "None"), facets)
    ((unlisted, _),) = facets_of(rpm("a", "1-1"), "AlmaLinux9.2")
    assert not matches(only(FilterKey.SEVERITY, "None"), unlisted)
    assert matches(only(FilterKey.SEVERITY, "*"), unlisted)


def test_each_notice_is_seen_by_itself():
    version = rpm("a", "1-1", notice("A-1", "Low", "Security"), notice("A-2", "Critical", "Bugfix"))
    seen = [(facets.classification, facets.severity) for facets, _ in facets_of(version, "")]
    assert seen == [("Security", "Low"), ("Bugfix", "Critical")]


@pytest.mark.parametrize(
    ("repositories", "security"),
    [
        ((SECURITY,), True),
        ((UPDATES,), False),
        ((UPDATES, SECURITY), True),
        ((UNSIGNED,), False),
        ((UNSIGNED, UPDATES), False),
        ((Repository(suite="bookworm", site="security.debian.org"),), True),
        ((Repository(suite="jammy-apps-security"),), True),
        ((), False),
    ],
)
def test_security_on_apt_is_a_signed_security_archive(repositories, security):
    assert is_security(deb("a", "1", *repositories)) is security


@pytest.mark.parametrize(
    ("family", "in_notice", "security"),
    [
        (Family.YUM, True, True),
        (Family.YUM, False, False),
        (Family.DNF, True, True),
        (Family.DNF, False, False),
        (Family.ZYPPER, False, True),
    ],
)
def test_security_elsewhere(family, in_notice, security):
    notices = (notice(classification="Bugfix"),) if in_notice else ()
    assert is_security(rpm("a", "1-1", *notices, family=family)) is security
