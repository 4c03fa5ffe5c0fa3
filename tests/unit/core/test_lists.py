"""Which entries of an approved or rejected list name a version. Source: spec/patch-baselines.md 1.5."""

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.builders import deb, notice, rpm

from patchwright.core.lists import listed
from patchwright.core.patches import PackageVersion, WindowsUpdate
from patchwright.core.values import Family

BIND = rpm("bind", "32:9.8.2-0.62.amzn1", notice("ALAS-2018-954", cves=("CVE-2018-5732",), bugzillas=("1549960",)))
NO_EPOCH = rpm("curl", "7.2-1.amzn2")
OPENSSL = deb("openssl", "1:3.0.2-0ubuntu1.18")
MAC = PackageVersion(family=Family.MACOS, name="wget", arch="", version="1.21")
KB = PackageVersion(
    family=Family.WINDOWS, name="KB2124261", arch="", version="", update=WindowsUpdate(title="t", bulletin="MS10-048")
)
SLES = rpm("zlib", "1.2-3", notice("SUSE-SLE-Module-Basesystem-2018-12"), family=Family.ZYPPER)


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        *[
            (BIND, entry)
            for entry in (
                "bind", "BIND", "bind.x86_64", "bind-9.8.2", "bind-9.8.2-0.62.amzn1", "bind-9.8.2-0.62.amzn1.x86_64",
                "32:bind-9.8.2-0.62.amzn1.x86_64", "bind-32:9.8.2-0.62.amzn1", "bind-32:9.8.2-0.62.amzn1.x86_64",
                "9.8.2", "9.8.2-0.62.amzn1", "32:9.8.2-0.62.amzn1", "bind.x86_64:32:9.8.2-0.62.amzn1",
                "bi*", "*nd", "b?nd", "b[ij]nd*", "bind*9.8*x86_64", "*", "alas-2018-954", "cve-2018-5732", "1549960",
            )
        ],
        (NO_EPOCH, "curl.x86_64:0:7.2-1.amzn2"),
        (NO_EPOCH, "0:7.2-1.amzn2"),
        *[
            (OPENSSL, entry)
            for entry in (
                "openssl", "1:3.0.2-0ubuntu1.18", "openssl.amd64", "openssl-1:3.0.2-0ubuntu1.18",
                "amd64:1:3.0.2-0ubuntu1.18", "openssl.amd64:1:3.0.2-0ubuntu1.18", "OpenSSL*",
            )
        ],
        (SLES, "SUSE-SLE-*-2018-*"),
        (SLES, "zlib-1.2-3.*.rpm"),
        (MAC, "wget"),
        (MAC, "wget.1.21"),
        (KB, "kb2124261"),
        (KB, "MS10-048"),
    ],
)  # fmt: skip
def test_named(version, entry):
    assert listed(version, (entry,)) == entry


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        (BIND, "bind-utils"),
        (BIND, "bin"),
        (BIND, "0:9.8.2-0.62.amzn1"),
        (BIND, "bind.i686"),
        (BIND, "ALAS-2018-95"),
        (BIND, "ALAS-2018-*"),
        (OPENSSL, "3.0.2-0ubuntu1.18"),
        (OPENSSL, "libssl3"),
        (MAC, "wg*"),
        (KB, "2124261"),
        (KB, "KB*"),
    ],
)
def test_not_named(version, entry):
    assert listed(version, (entry,)) is None


def test_an_entry_with_a_version_names_that_version_only():
    entries = ("curl-7.2-1.amzn2.x86_64",)
    assert listed(NO_EPOCH, entries)
    assert listed(rpm("curl", "7.3-1.amzn2"), entries) is None


@pytest.mark.parametrize("name", ["kernel", "kernel-headers", "kernel-tools"])
def test_a_wildcard_reaches_further_than_one_may_think(name):
    assert listed(rpm(name, "4-1"), ("kernel*",)) == "kernel*"


def test_the_answer_is_the_first_entry_that_names_it_as_it_was_written():
    assert listed(NO_EPOCH, ("nginx", "CU*", "curl", "*")) == "CU*"
    assert listed(NO_EPOCH, ("nginx", "Curl", "CU*")) == "Curl"
    assert listed(NO_EPOCH, ()) is None


def test_no_wildcard_takes_long_on_a_hostile_name():
    evil = deb("a" * 5000, "1")
    started = time.process_time()
    assert listed(evil, ("*a" * 49 + "b",)) is None
    assert time.process_time() - started < 1


@given(st.text(min_size=1, max_size=100))
def test_any_entry_is_a_question_and_never_an_error(entry):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed(BIND, (entry,))
