"""A full disk: the server stops accepting, says so, loses nothing, and goes on once there is room."""

import errno
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.lab import Lab
from botocore.exceptions import ClientError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="a small file system can only be mounted by root: run make test as root"
    ),
]


@pytest.fixture
def small_disk() -> Iterator[Lab]:
    """A lab whose data folder has 12 MB."""
    with Lab() as lab:
        data = lab.folder / "data"
        data.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", data], check=True)
        try:
            yield lab
        finally:
            for process in lab.running:
                process.kill()
                process.wait()
            subprocess.run(["umount", data], check=True)


def _ready(lab: Lab) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{lab.url}/readyz", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def _fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (65_536, 512):
            try:
                while os.write(descriptor, b"x" * size):
                    continue
            except OSError as full:
                assert full.errno == errno.ENOSPC
    finally:
        os.close(descriptor)
    return ballast


def test_a_full_disk_refuses_writes_and_recovers(small_disk: Lab) -> None:
    lab = small_disk
    lab.start()
    lab.wait()
    ssm = lab.client()
    kept = ssm.create_patch_baseline(Name="before", OperatingSystem="DEBIAN")["BaselineId"]
    assert _ready(lab)[0] == 200
    ballast = _fill(lab.folder / "data")
    refusals = []
    for number in range(200):
        try:
            ssm.update_patch_baseline(BaselineId=kept, Description=f"{number} " + "x" * 1_000)
        except ClientError as refused:
            refusals.append(refused.response)
            if len(refusals) == 3:
                break
    assert [r["Error"]["Code"] for r in refusals] == ["ServiceUnavailable"] * 3
    assert refusals[0]["ResponseMetadata"]["HTTPStatusCode"] == 503
    status, body = _ready(lab)
    assert status == 503
    assert "store" in body["problems"]
    assert ssm.get_patch_baseline(BaselineId=kept)["Name"] == "before"
    ballast.unlink()
    after = ssm.create_patch_baseline(Name="after", OperatingSystem="DEBIAN")["BaselineId"]
    assert ssm.get_patch_baseline(BaselineId=after)["Name"] == "after"
    assert _ready(lab)[0] == 200
