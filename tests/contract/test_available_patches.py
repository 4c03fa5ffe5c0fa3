"""What is on offer and what a baseline says of it, through boto3 and the aws CLI. Source: patch-baselines.md 8."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import MAIN, SECURITY, UPDATES, DebianHost, Package, usual_host
from tests.contract.synthetic_rpms import usual_host as rocky_host


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _product(name: str, **more: str) -> list[dict[str, Any]]:
    return [{"Key": k, "Values": v.split("|")} for k, v in {"PRODUCT": name, **more}.items()]


def _titles(fleet: Fleet, size: int = 100, **filters: str) -> list[str]:
    pages = fleet.ssm.get_paginator("describe_available_patches").paginate(
        Filters=_product(**filters), PaginationConfig={"PageSize": size}
    )
    return [patch["Title"] for page in pages for patch in page["Patches"]]


def _effective(fleet: Fleet, baseline_id: str, size: int = 100) -> dict[str, dict[str, Any]]:
    pages = fleet.ssm.get_paginator("describe_effective_patches_for_patch_baseline").paginate(
        BaselineId=baseline_id, PaginationConfig={"PageSize": size}
    )
    return {one["Patch"]["Title"]: one["PatchStatus"] for page in pages for one in page["EffectivePatches"]}


def _baseline(fleet: Fleet, **members: Any) -> str:
    return str(fleet.ssm.create_patch_baseline(**{"Name": "own", "OperatingSystem": "DEBIAN", **members})["BaselineId"])


def _everything(days: int = 0) -> dict[str, Any]:
    filters = {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]}
    rule = {"PatchFilterGroup": filters, "ApproveAfterDays": days, "EnableNonSecurity": True}
    return {"PatchRules": [{**rule, "ComplianceLevel": "HIGH"}]}


def test_what_debian_nodes_reported_is_available_with_its_parts(fleet: Fleet) -> None:
    fleet.scan(fleet.node(), usual_host())
    found = fleet.ssm.describe_available_patches(Filters=_product("Debian12"))["Patches"]
    patches = {patch["Name"]: patch for patch in found}
    assert sorted(patches) == ["openssl", "vim"]
    fix = patches["openssl"]
    assert (fix["Title"], fix["Id"]) == ("openssl.amd64:3.0.13-1~deb12u1",) * 2
    assert (fix["Classification"], fix["Severity"], fix["Repository"]) == (
        "SECURITY",
        "OPTIONAL",
        "stable-security/main",
    )
    assert (fix["Epoch"], fix["Version"], fix["Release"], fix["Arch"]) == (0, "3.0.13", "1~deb12u1", "amd64")
    assert (patches["vim"]["Epoch"], patches["vim"]["Version"], patches["vim"]["Release"]) == (2, "9.0.1378", "3")
    assert "Classification" not in patches["vim"], "apt calls nothing but its security archives anything"


def test_notices_give_rpm_patches_their_words_and_each_filter_finds_by_them(fleet: Fleet) -> None:
    node = fleet.node()
    worker, message = fleet.worker(node)
    worker.report(rocky_host().parts())
    fleet.end(node, message, str(worker.finish()["Report"]))
    (product,) = {
        p["Product"]
        for p in fleet.ssm.describe_available_patches(Filters=_product("RockyLinux9.4|RockyLinux9.3"))["Patches"]
    }
    every = _titles(fleet, name=product)
    assert "openssl.x86_64:1:3.0.7-25.el9" in every
    assert _titles(fleet, name=product, CVE_ID="cve-2025-0201") == ["openssl.x86_64:1:3.0.7-25.el9"]
    assert _titles(fleet, name=product, ADVISORY_ID="RLSA-2025:0200") == ["openssl.x86_64:1:3.0.7-25.el9"]
    assert _titles(fleet, name=product, CLASSIFICATION="Bugfix") == ["tzdata.noarch:0:2025b-1.el9"]
    assert _titles(fleet, name=product, SEVERITY="critical|none", NAME="openssl|tzdata", EPOCH="1") == [
        "openssl.x86_64:1:3.0.7-25.el9"
    ]
    assert _titles(fleet, name=product, ARCH="noarch", VERSION="2025b", RELEASE="1.el9") == [
        "tzdata.noarch:0:2025b-1.el9"
    ]
    assert _titles(fleet, name=product, REPOSITORY="nowhere") == []


def test_lists_come_in_pages_the_latest_first_and_a_token_is_bound_to_its_filters(fleet: Fleet) -> None:
    packages = {f"p{n:02}": Package("1", offers=((f"2.{n}", (UPDATES,)),)) for n in range(25)}
    fleet.scan(fleet.node(), DebianHost(packages=packages))
    titles = _titles(fleet, size=10, name="Debian12")
    assert sorted(titles) == sorted(f"p{n:02}.amd64:2.{n}" for n in range(25))
    first = fleet.ssm.describe_available_patches(Filters=_product("Debian12"), MaxResults=10)
    dates = [p["ReleaseDate"] for p in first["Patches"]]
    assert dates == sorted(dates, reverse=True)
    other = {"Filters": _product("Debian11"), "NextToken": first["NextToken"]}
    assert refused(lambda: fleet.ssm.describe_available_patches(**other))[0] == "ValidationException"
    baseline = _baseline(fleet, ApprovalRules=_everything())
    assert list(_effective(fleet, baseline, size=10)) == sorted(titles)


def test_other_regions_see_nothing_and_bad_filters_are_told(fleet: Fleet) -> None:
    fleet.scan(fleet.node(), usual_host())
    elsewhere = fleet.client("ssm", f"{fleet.region}-other")
    assert elsewhere.describe_available_patches(Filters=_product("Debian12"))["Patches"] == []
    assert fleet.ssm.describe_available_patches()["Patches"] == [], "without filters it asks for Windows"
    describe = fleet.ssm.describe_available_patches
    for filters in (
        [{"Key": "NAME", "Values": ["vim"]}],
        _product("Debian12", EPOCH="two"),
        [*_product("Debian12"), *_product("Debian11")],
        _product("Debian12", OWNER="AWS"),
        [{"Key": "PRODUCT", "Values": []}],
    ):
        assert refused(lambda filters=filters: describe(Filters=filters))[0] == "ValidationException"  # type: ignore[misc]


def test_one_version_in_other_words_is_one_patch_that_says_all_of_them(fleet: Fleet) -> None:
    fleet.scan(fleet.node(), DebianHost(packages={"tool": Package("1", offers=(("2", (MAIN,)),))}))
    assert _titles(fleet, name="Debian12", CLASSIFICATION="Security") == []
    fleet.scan(fleet.node(), DebianHost(packages={"tool": Package("1", offers=(("2", (SECURITY,)),), phased="10")}))
    (patch,) = fleet.ssm.describe_available_patches(Filters=_product("Debian12"))["Patches"]
    assert (patch["Classification"], patch["Repository"]) == ("SECURITY", "stable-security/main, stable/main")
    assert _titles(fleet, name="Debian12", REPOSITORY="stable/main", CLASSIFICATION="security") == ["tool.amd64:2"]


def test_a_baseline_says_what_it_approves_what_waits_and_what_its_lists_decide(fleet: Fleet) -> None:
    host = usual_host()
    host.packages["curl"] = Package("7.1-1", offers=(("7.2-1", (SECURITY,)),))
    host.packages["less"] = Package("1-1", offers=(("1-2", (SECURITY,)), ("1-3", (SECURITY,))))
    fleet.scan(fleet.node(), host)
    lists = {"ApprovedPatches": ["curl*"], "RejectedPatches": ["less.amd64:1-3"]}
    security = _everything(days=0)
    security["PatchRules"][0]["EnableNonSecurity"] = False
    found = _effective(fleet, _baseline(fleet, ApprovalRules=security, **lists))
    assert {title: said["DeploymentStatus"] for title, said in found.items()} == {
        "curl.amd64:7.2-1": "EXPLICIT_APPROVED",
        "less.amd64:1-2": "APPROVED",
        "less.amd64:1-3": "EXPLICIT_REJECTED",
        "openssl.amd64:3.0.13-1~deb12u1": "APPROVED",
    }
    assert found["less.amd64:1-2"]["ComplianceLevel"] == "HIGH"
    assert "ApprovalDate" not in found["curl.amd64:7.2-1"]
    waits = _effective(fleet, _baseline(fleet, ApprovalRules=_everything(days=360)))
    assert {said["DeploymentStatus"] for said in waits.values()} == {"PENDING_APPROVAL"}
    days = {(said["ApprovalDate"] - openssl["ApprovalDate"]).days for openssl in [waits["vim.amd64:2:9.0.1378-3"]]
            for said in waits.values()}  # fmt: skip
    assert days == {0}


def test_what_a_changed_baseline_says_is_told_at_once(fleet: Fleet) -> None:
    fleet.scan(fleet.node(), usual_host())
    baseline = _baseline(fleet, ApprovalRules=_everything())
    assert len(_effective(fleet, baseline)) == 2
    fleet.ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["vim"])
    assert _effective(fleet, baseline)["vim.amd64:2:9.0.1378-3"]["DeploymentStatus"] == "EXPLICIT_REJECTED"
    host = usual_host()
    host.packages["new"] = Package("1", offers=(("2", (MAIN,)),))
    fleet.scan(fleet.node(), host)
    assert "new.amd64:2" in _effective(fleet, baseline)


def test_errors_of_effective_patches(fleet: Fleet) -> None:
    describe = fleet.ssm.describe_effective_patches_for_patch_baseline
    assert refused(lambda: describe(BaselineId="pb-0123456789abcdef0"))[0] == "DoesNotExistException"
    assert refused(lambda: describe(BaselineId="pb-of-no-known-form-at-all"))[0] == "InvalidResourceId"
    windows = fleet.ssm.get_default_patch_baseline(OperatingSystem="WINDOWS")["BaselineId"]
    assert describe(BaselineId=windows)["EffectivePatches"] == []


def test_properties_by_system_with_the_products_that_nodes_have(
    fleet: Fleet, aws: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    host = replace(usual_host(), system={**usual_host().system, "version_id": "14"})
    fleet.scan(fleet.node(), host)
    ask = ("describe-patch-properties", "--operating-system", "DEBIAN", "--property", "PRODUCT")
    said = aws("--region", fleet.region, "ssm", *ask)
    names = [row["Name"] for row in json.loads(said.stdout)["Properties"]]
    assert names == ["Debian10", "Debian11", "Debian12", "Debian13", "Debian14"]
    pages = fleet.ssm.get_paginator("describe_patch_properties").paginate(
        OperatingSystem="WINDOWS", Property="CLASSIFICATION", PaginationConfig={"PageSize": 4}
    )
    listed = [[row["Name"] for row in page["Properties"]] for page in pages]
    assert [len(page) for page in listed] == [4, 4, 2]
    assert "SecurityUpdates" in listed[2] + listed[1]
    describe = fleet.ssm.describe_patch_properties
    for wrong in (
        {"OperatingSystem": "DEBIAN", "Property": "SEVERITY"},
        {"OperatingSystem": "DEBIAN", "Property": "PRIORITY", "PatchSet": "OS"},
        {"OperatingSystem": "WINDOWS", "Property": "PRIORITY"},
    ):
        assert refused(lambda wrong=wrong: describe(**wrong))[0] == "ValidationException"  # type: ignore[misc]
