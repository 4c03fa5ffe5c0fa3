"""Patch groups through boto3, as Terraform's provider drives them: many at once, listed in pages."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

MISSING = "pb-0123456789abcdef0"


def _create(ssm: Any, system: str = "UBUNTU") -> str:
    made: str = ssm.create_patch_baseline(Name="own", OperatingSystem=system)["BaselineId"]
    return made


def _code(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**members)
    code: str = refusal.value.response["Error"]["Code"]
    return code


def _mappings(ssm: Any, size: int = 100, **members: Any) -> list[tuple[str, str]]:
    pages = ssm.get_paginator("describe_patch_groups").paginate(PaginationConfig={"PageSize": size}, **members)
    return [(m["PatchGroup"], m["BaselineIdentity"]["BaselineId"]) for page in pages for m in page["Mappings"]]


def test_registrations_in_parallel_are_all_there_and_go_in_parallel(ssm: Any) -> None:
    made = _create(ssm)
    groups = [f"g{n:02d}" for n in range(25)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda g: ssm.register_patch_baseline_for_patch_group(BaselineId=made, PatchGroup=g), groups)
        )
    assert [(a["PatchGroup"], a["BaselineId"]) for a in answers] == [(g, made) for g in groups]
    assert _mappings(ssm, size=10) == [(g, made) for g in groups]
    assert _code(ssm.register_patch_baseline_for_patch_group, BaselineId=made, PatchGroup="one-more") == (
        "ResourceLimitExceededException"
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda g: ssm.deregister_patch_baseline_for_patch_group(BaselineId=made, PatchGroup=g), groups))
    assert _mappings(ssm) == []


def test_each_declared_error(ssm: Any) -> None:
    one, two = _create(ssm), _create(ssm)
    register, deregister = ssm.register_patch_baseline_for_patch_group, ssm.deregister_patch_baseline_for_patch_group
    register(BaselineId=one, PatchGroup="web")
    register(BaselineId=one, PatchGroup="web")
    assert _code(register, BaselineId=two, PatchGroup="web") == "AlreadyExistsException"
    assert _code(register, BaselineId=MISSING, PatchGroup="web") == "DoesNotExistException"
    assert _code(register, BaselineId="pb-of-no-known-form-at-all", PatchGroup="web") == "InvalidResourceId"
    assert _code(deregister, BaselineId=MISSING, PatchGroup="web") == "InvalidResourceId"
    assert _code(ssm.describe_patch_groups, Filters=[{"Key": "OWNER", "Values": ["AWS"]}]) == "ValidationException"


def test_a_vendor_arn_comes_back_as_it_was_sent(ssm: Any) -> None:
    arn = ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"]
    answer = ssm.register_patch_baseline_for_patch_group(BaselineId=arn, PatchGroup="db")
    assert answer["BaselineId"] == arn
    assert _mappings(ssm, Filters=[{"Key": "NAME_PREFIX", "Values": ["d"]}]) == [("db", arn)]


def test_a_group_resolves_for_each_system(ssm: Any) -> None:
    made = _create(ssm)
    ssm.register_patch_baseline_for_patch_group(BaselineId=made, PatchGroup="web")
    mine = ssm.get_patch_baseline_for_patch_group(PatchGroup="web", OperatingSystem="UBUNTU")
    assert (mine["BaselineId"], mine["PatchGroup"], mine["OperatingSystem"]) == (made, "web", "UBUNTU")
    other = ssm.get_patch_baseline_for_patch_group(PatchGroup="web")
    assert (other["BaselineId"], other["OperatingSystem"]) == (
        ssm.get_default_patch_baseline()["BaselineId"],
        "WINDOWS",
    )
