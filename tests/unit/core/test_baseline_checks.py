"""Cross-field checks of a baseline. Source: spec/patch-baselines.md 1.2 to 1.4, 9.2."""

from dataclasses import replace
from datetime import date

import pytest
from tests.unit.core.builders import baseline, only, rule

from patchwright.core.baseline_checks import VALID_KEYS, check, parse_approve_until_date, valid_properties
from patchwright.core.baselines import FilterKey, PatchSource, RejectedAction
from patchwright.core.errors import Invalid
from patchwright.core.predefined import PREDEFINED
from patchwright.core.values import FAMILY_OF, OperatingSystem

AL2, UBUNTU, WINDOWS = OperatingSystem.AMAZON_LINUX_2, OperatingSystem.UBUNTU, OperatingSystem.WINDOWS
SOURCE = PatchSource(name="own", products=("*",), configuration="deb https://user:hunter2@x/ jammy main")
BOTH = replace(rule(days=7), approve_until_date=date(2025, 1, 1))


@pytest.mark.parametrize("predefined", PREDEFINED, ids=lambda baseline: baseline.name)
def test_the_predefined_baselines_pass(predefined):
    check(predefined)


@pytest.mark.parametrize("system", OperatingSystem)
@pytest.mark.parametrize("key", FilterKey)
def test_keys_are_valid_by_system(system, key):
    filtered = baseline(system, rule(only(key, "*")))
    if key in VALID_KEYS[FAMILY_OF[system]]:
        check(filtered)
    else:
        with pytest.raises(Invalid, match=f"{key} is not valid for {system}"):
            check(filtered)


@pytest.mark.parametrize(
    ("system", "key", "value", "valid"),
    [
        (AL2, FilterKey.CLASSIFICATION, "security", True),
        (AL2, FilterKey.CLASSIFICATION, "Yast", False),
        (AL2, FilterKey.SEVERITY, "Moderate", True),
        (AL2, FilterKey.SEVERITY, "Severe", False),
        (AL2, FilterKey.PRODUCT, "AmazonLinux7.7", True),
        (OperatingSystem.SUSE, FilterKey.CLASSIFICATION, "Yast", True),
        (UBUNTU, FilterKey.PRIORITY, "Required", True),
        (UBUNTU, FilterKey.PRIORITY, "High", False),
        (UBUNTU, FilterKey.SECTION, "universe/net", True),
        (WINDOWS, FilterKey.MSRC_SEVERITY, "Unspecified", True),
        (WINDOWS, FilterKey.CLASSIFICATION, "Security", False),
        (WINDOWS, FilterKey.PATCH_SET, "BOTH", False),
    ],
)
def test_values_are_valid_by_system(system, key, value, valid):
    for filtered in (baseline(system, rule(only(key, value))), baseline(system, global_filters=(only(key, value),))):
        if valid:
            check(filtered)
        else:
            with pytest.raises(Invalid, match=f"'{value}' is not a value of {key}"):
                check(filtered)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (baseline(AL2, rule(days=None)), "rule 1 has neither"),
        (baseline(AL2, rule(), BOTH), "rule 2 has both"),
        (baseline(UBUNTU, BOTH), "rule 1 has both"),
        (baseline(AL2, rule(days=361)), "0 to 360"),
        (baseline(AL2, rule(days=-1)), "0 to 360"),
        (baseline(AL2, *[rule()] * 11), "11 rules"),
        (baseline(AL2, rule(*[only(FilterKey.PRODUCT, "*")] * 5)), "5 filters"),
        (baseline(AL2, rule(only(FilterKey.PRODUCT, "a"), only(FilterKey.PRODUCT, "b"))), "PRODUCT is given twice"),
        (baseline(AL2, rule(only(FilterKey.PRODUCT))), "1 to 20 values"),
        (baseline(AL2, rule(only(FilterKey.PRODUCT, "x" * 65))), "1 to 64 characters"),
        (baseline(AL2, approved_patches=("a",) * 51), "ApprovedPatches has 51"),
        (baseline(AL2, rejected_patches=("",)), "RejectedPatches: an entry"),
        (baseline(AL2, rejected_patches=("x" * 101,)), "RejectedPatches: an entry"),
        (baseline(AL2, description=""), "Description"),
        (replace(baseline(AL2), name="a b"), "Name"),
        (baseline(AL2, sources=(SOURCE, SOURCE)), "own is given twice"),
        (baseline(AL2, sources=(replace(SOURCE, products=()),)), "Products"),
        (baseline(AL2, sources=(replace(SOURCE, configuration="x" * 1025),)), "Configuration of own"),
    ],
)
def test_what_is_wrong_is_said(wrong, message):
    with pytest.raises(Invalid, match=message) as caught:
        check(wrong)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "right",
    [
        baseline(UBUNTU, rule(days=None)),
        baseline(UBUNTU, rule(days=7)),
        baseline(UBUNTU, rule(until=date(2025, 1, 1))),
        baseline(OperatingSystem.MACOS, rule(days=None)),
        baseline(AL2, rule(days=0), rule(days=360)),
        baseline(AL2),
        baseline(AL2, rejected_patches_action=RejectedAction.BLOCK),
        baseline(WINDOWS, rule(enable_non_security=True), sources=(SOURCE,)),
    ],
)
def test_what_is_merely_unused_passes(right):
    check(right)


def test_dates_must_exist():
    assert parse_approve_until_date("2024-02-29") == date(2024, 2, 29)
    for text in ("2025-02-29", "2025-2-1", "20250201", "tomorrow", "", "2025-01-01T00"):
        with pytest.raises(Invalid, match="real date"):
            parse_approve_until_date(text)


def test_properties_of_a_system():
    assert valid_properties(UBUNTU) == (FilterKey.PRODUCT, FilterKey.PRIORITY)
    assert valid_properties(WINDOWS) == (
        FilterKey.PRODUCT, FilterKey.PRODUCT_FAMILY, FilterKey.CLASSIFICATION, FilterKey.MSRC_SEVERITY,
    )  # fmt: skip
