"""Patch groups and the predefined baselines. Source: spec/patch-baselines.md 1.10, 1.11, 2."""

import hashlib

import pytest

from patchwright.core.errors import AlreadyExists, InUse, Invalid, InvalidId, LimitExceeded
from patchwright.core.groups import (
    BaselineSource,
    check_removable,
    has_conflicting_groups,
    patch_group_of,
    register,
    resolve,
)
from patchwright.core.predefined import BY_ID, DEFAULT_FOR, OWNER_ACCOUNT, PREDEFINED, arn_of, parse_baseline_id
from patchwright.core.values import BaselineId, ComplianceLevel, OperatingSystem, Tag

WINDOWS, UBUNTU = OperatingSystem.WINDOWS, OperatingSystem.UBUNTU
MINE, OTHER, DEFAULT = (BaselineId(f"pb-{number:017x}") for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("tags", "group"),
    [
        ({}, ""),
        ({"Patch Group": "web"}, "web"),
        ({"PatchGroup": "web"}, "web"),
        ({"Patch Group": "a", "PatchGroup": "b"}, "b"),
        ({"Patch Group": "a", "PatchGroup": ""}, "a"),
        ({"patch group": "web", "PATCHGROUP": "web"}, ""),
    ],
)
def test_the_group_of_tags(tags, group):
    assert patch_group_of(tags) == group
    assert patch_group_of([Tag(key=key, value=value) for key, value in tags.items()]) == group
    assert has_conflicting_groups(tags) is (set(tags.values()) == {"a", "b"})


def test_resolution():
    registered = {("DEV", WINDOWS): MINE, ("QA", UBUNTU): OTHER}
    found = resolve(WINDOWS, {"PatchGroup": "DEV"}, registered, DEFAULT)
    assert (found.baseline_id, found.patch_group, found.source) == (MINE, "DEV", BaselineSource.PATCH_GROUP)
    other = resolve(WINDOWS, {"PatchGroup": "QA"}, registered, DEFAULT)
    assert (other.baseline_id, other.patch_group, other.source) == (DEFAULT, "QA", BaselineSource.DEFAULT)
    untagged = resolve(WINDOWS, {}, {("", WINDOWS): MINE}, DEFAULT)
    assert (untagged.baseline_id, untagged.patch_group) == (DEFAULT, "")


def test_registration():
    existing = {("DEV", WINDOWS): MINE}
    assert register(existing, "DEV", WINDOWS, MINE) is False
    assert register(existing, "dev", WINDOWS, OTHER) is True
    with pytest.raises(AlreadyExists):
        register(existing, "DEV", WINDOWS, OTHER)


def test_the_26th_group_is_one_too_many_for_that_baseline_only():
    existing = {(f"g{number}", WINDOWS): MINE for number in range(25)}
    with pytest.raises(LimitExceeded, match="25"):
        register(existing, "more", WINDOWS, MINE)
    assert register(existing, "more", WINDOWS, OTHER)
    assert register(existing, "g0", WINDOWS, MINE) is False


@pytest.mark.parametrize("group", ["", "x" * 257, "a;b", "a\nb", "a*"])
def test_impossible_group_names(group):
    with pytest.raises(Invalid):
        register({}, group, WINDOWS, MINE)


@pytest.mark.parametrize("group", ["Prod Web_1", "größe", "a.b:c/d=e+f-g@h", "x" * 256])
def test_possible_group_names(group):
    assert register({}, group, WINDOWS, MINE)


def test_a_default_is_in_use():
    with pytest.raises(InUse, match="default"):
        check_removable({}, MINE, (MINE,))


def test_each_system_has_one_default_and_the_vendor_s_names_are_kept():
    assert set(DEFAULT_FOR) == set(OperatingSystem)
    assert DEFAULT_FOR[WINDOWS].name == "AWS-DefaultPatchBaseline"
    assert len(PREDEFINED) == 17
    for baseline in PREDEFINED:
        assert baseline.name.startswith("AWS-")
        assert baseline.predefined
        assert all(rule.compliance_level is ComplianceLevel.UNSPECIFIED for rule in baseline.rules)


def test_ids_never_change():
    for baseline in PREDEFINED:
        assert (
            baseline.id == "pb-" + hashlib.sha256(f"patchwright predefined {baseline.name}".encode()).hexdigest()[:17]
        )
        assert BY_ID[baseline.id] is baseline


def test_ids_in_both_forms():
    baseline_id = DEFAULT_FOR[UBUNTU].id
    arn = arn_of(baseline_id, "local-1")
    assert arn == f"arn:aws:ssm:local-1:{OWNER_ACCOUNT}:patchbaseline/{baseline_id}"
    assert parse_baseline_id(arn) == parse_baseline_id(baseline_id) == baseline_id
    assert parse_baseline_id("arn:aws-cn:ssm:cn-north-1:123456789012:patchbaseline/pb-0123456789abcdef0")


@pytest.mark.parametrize(
    "text",
    [
        "", "pb-", "pb-0123456789abcdef", "pb-0123456789ABCDEF0", "pb-0123456789abcdef0\n", "PB-0123456789abcdef0",
        "arn:aws:ssm:local-1:1:patchbaseline/pb-0123456789abcdef0",
        "arn:aws:ec2:local-1:123456789012:patchbaseline/pb-0123456789abcdef0",
        "arn:aws:ssm:local-1:123456789012:document/pb-0123456789abcdef0",
    ],
)  # fmt: skip
def test_malformed_ids(text):
    with pytest.raises(InvalidId):
        parse_baseline_id(text)
