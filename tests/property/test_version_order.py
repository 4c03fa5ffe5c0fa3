"""For all versions: our order is total, and it is the one that apt, dpkg and rpm themselves compute.

apt and rpm answer through their bindings, in one long-lived child of the system's interpreter. The commands (`dpkg
--compare-versions`, `rpm --eval`) answer too, on fewer pairs, so that a machine without a binding still checks the
order. What is missing is skipped, and the reason names the package to install.
"""

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchwright.core.versions import InvalidVersion, deb, rpm

Compare = Callable[[str, str], int]

SYSTEM_PYTHON = "/usr/bin/python3"

# Reads ["tool", [[a, b], ...]] a line, answers [-1 | 0 | 1 | null, ...]; null is a refusal. It names its tools first.
CHILD = r"""
import json, sys
def apt():
    import apt_pkg
    apt_pkg.init()
    return lambda a, b: (lambda answer: (answer > 0) - (answer < 0))(apt_pkg.version_compare(a, b))
def rpm_text():
    from rpm import ver
    def compare(a, b):
        try:
            left, right = ver(a), ver(b)
        except ValueError:
            return None
        return (left > right) - (left < right)
    return compare
def rpm_labels():
    from rpm import labelCompare
    return lambda a, b: labelCompare(tuple(a), tuple(b))
tools = {}
for load in (apt, rpm_text, rpm_labels):
    try:
        tools[load.__name__] = load()
    except ImportError:
        pass
print(json.dumps(sorted(tools)), flush=True)
for line in sys.stdin:
    name, pairs = json.loads(line)
    print(json.dumps([tools[name](a, b) for a, b in pairs]), flush=True)
"""

# Real-looking versions of both families, some with what is odd: signs, zeros, a second hyphen or colon.
REAL = st.builds(
    lambda epoch, numbers, extra, revision: epoch + ".".join(map(str, numbers)) + extra + revision,
    st.sampled_from(["", "", "", "0:", "1:", "2:", "01:", "+1:", "-0:", ":", "a:", "99999999999:"]),
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.sampled_from(["", "", "a", "p1", "~rc1", "~beta2", "+dfsg", "+git20240501", "^20240501git1a", "-rc-2", ":3"]),
    st.sampled_from(["", "-0", "-1", "-1ubuntu0.4", "-2+deb12u3", "-1~bpo12+1", "-427.el9_4", "-1.m+el8", "-", "-~1"]),
)
LONG_DIGITS = st.builds(
    lambda zeros, digit, count: "0" * zeros + digit * count,
    st.integers(0, 3),
    st.sampled_from("0129"),
    st.sampled_from([1, 2, 9, 10, 19, 20, 254, 255, 256, 400]),
)
PIECES = st.sampled_from(["", *"019aZ~^.-+:_", "~~", "rc1", "0:", "1:", "-1", "el9", ".0"]) | LONG_DIGITS
# dpkg compares bytes beyond ASCII as C's char: signed on x86, and the order follows that.
BEYOND_ASCII = "é日" if platform.machine() in ("x86_64", "i686") else ""
PRINTABLE = "".join(map(chr, range(32, 127))) + BEYOND_ASCII
TEXTS = st.one_of(
    REAL,
    st.text("01a~^.-+:", max_size=10),
    st.text("0~-", max_size=6),
    st.lists(PIECES, max_size=6).map("".join),
    st.text(PRINTABLE, max_size=12),
).map(lambda text: text[:512])


@st.composite
def families(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> list[str]:
    """Eight versions, six of them made of pieces of the others: unrelated ones differ at the first character."""
    versions = [draw(texts), draw(texts)]
    for _ in range(6):
        head, tail = draw(st.sampled_from(versions)), draw(st.sampled_from(versions))
        cut = draw(st.integers(0, len(head)))
        versions.append((head[:cut] + draw(PIECES) + tail[cut:])[:512])
    return versions


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Tools:
    """The package managers' own comparisons, in one child process."""

    def __init__(self) -> None:
        self.names: list[str] = []
        if shutil.which(SYSTEM_PYTHON) is None:
            return
        self._child = subprocess.Popen(
            [SYSTEM_PYTHON, "-I", "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.names = json.loads(self._child.stdout.readline())

    def need(self, name: str, package: str) -> None:
        if name not in self.names:
            pytest.skip(f"VERSION ORDER NOT COMPARED WITH {name}: {SYSTEM_PYTHON} lacks its binding; install {package}")

    def ask(self, name: str, pairs: list[Any]) -> list[int | None]:
        self._child.stdin.write(json.dumps([name, pairs]) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def close(self) -> None:
        if self.names:
            self._child.communicate(timeout=20)  # the end of its input ends the child


@pytest.fixture(scope="session")
def tools() -> Iterator[Tools]:
    tools = Tools()
    yield tools
    tools.close()


def need_command(command: str) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"VERSION ORDER NOT COMPARED WITH THE COMMAND {command}: install the package {command}")


def dpkg_accepts(a: str, relation: str, b: str) -> bool | None:
    """Whether dpkg finds the relation true; None if it refuses a version."""
    command = ["dpkg", "--compare-versions", "--", a, relation, b]
    return {0: True, 1: False}.get(subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode)


def dpkg_compare(a: str, b: str) -> int | None:
    if dpkg_accepts(a, "eq", b):
        return 0
    earlier = dpkg_accepts(a, "lt", b)
    return None if earlier is None else -1 if earlier else 1


def rpm_command(pairs: Iterable[tuple[str, str]]) -> list[int]:
    """rpm's text comparison, by its Lua. Each byte becomes a decimal escape: nothing in a text is macro or Lua."""

    def quoted(text: str) -> str:
        return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'

    script = "".join(f"print(rpm.vercmp({quoted(a)},{quoted(b)}) .. ' ')" for a, b in pairs)
    run = subprocess.run(["rpm", "--eval", f"%{{lua: {script}}}"], capture_output=True, text=True, check=True)
    return [int(answer) for answer in run.stdout.split()]


def differences(compare: Compare, pairs: list[tuple[str, str]], answers: list[int | None] | list[int]) -> list[Any]:
    return [
        (a, b, answer)
        for (a, b), answer in zip(pairs, answers, strict=True)
        if answer is not None and (compare(a, b), compare(b, a)) != (answer, -answer)
    ]


def neighbours(versions: list[str]) -> list[tuple[str, str]]:
    return list(zip(versions, versions[1:] + versions[:1], strict=True))


def accepted(version: str) -> bool:
    try:
        deb.parse(version)
    except InvalidVersion:
        return False
    return True


def test_deb_order_is_that_of_apt(tools: Tools) -> None:
    """On what dpkg accepts. apt strips no blanks and reads no sign, so these are left to the comparison with dpkg."""
    tools.need("apt", "python3-apt")
    asked = 0

    @examples(500)
    @given(families())
    def agrees(versions: list[str]) -> None:
        nonlocal asked
        pairs = list(combinations([v for v in versions if accepted(v) and not re.search(r"^[+-]|[ ]", v)], 2))
        asked += len(pairs)
        assert differences(deb.compare, pairs, tools.ask("apt", pairs)) == []

    agrees()
    assert asked >= 5_000


def test_deb_order_is_that_of_dpkg() -> None:
    need_command("dpkg")

    @examples(25)
    @given(families())
    def agrees(versions: list[str]) -> None:
        pairs = neighbours(versions)
        assert differences(deb.compare, pairs, [dpkg_compare(a, b) for a, b in pairs]) == []

    agrees()


def test_deb_parse_refuses_what_dpkg_refuses() -> None:
    need_command("dpkg")

    @examples(300)
    @given(TEXTS.filter(bool))  # dpkg compares the empty text, but as "no version"
    def agrees(version: str) -> None:
        assert accepted(version) == (dpkg_accepts(version, "eq", version) is not None)

    agrees()


def test_rpm_order_is_that_of_rpm(tools: Tools) -> None:
    tools.need("rpm_text", "python3-rpm (4.17 or later)")
    asked = 0

    @examples(300)
    @given(families())
    def agrees(versions: list[str]) -> None:
        nonlocal asked
        pairs = list(combinations(versions, 2))
        answers = tools.ask("rpm_text", pairs)
        asked += len(pairs) - answers.count(None)
        assert differences(rpm.compare, pairs, answers) == []

    agrees()
    assert asked >= 5_000


def test_rpm_order_is_that_of_label_compare_on_the_parts(tools: Tools) -> None:
    """The parts that `parse` finds, given to rpm's older interface, which splits nothing itself."""
    tools.need("rpm_labels", "python3-rpm")

    @examples(200)
    @given(families())
    def agrees(versions: list[str]) -> None:
        parsed = {}
        for text in versions:
            try:
                parsed[text] = rpm.parse(text)
            except InvalidVersion:
                continue
        pairs = list(combinations(parsed, 2))
        labels = {text: (evr.epoch, evr.version, evr.release) for text, evr in parsed.items()}
        answers = tools.ask("rpm_labels", [(labels[a], labels[b]) for a, b in pairs])
        assert differences(rpm.compare, pairs, answers) == []

    agrees()


def test_rpm_order_is_that_of_the_rpm_command() -> None:
    need_command("rpm")

    @examples(40)
    @given(families(TEXTS.filter(bool)))
    def agrees(versions: list[str]) -> None:
        pairs = [(a, b) for a, b in neighbours(versions) if a and b]
        assert differences(rpm.compare, pairs, rpm_command(pairs)) == []

    agrees()


@pytest.mark.parametrize("ordering", [deb, rpm], ids=["deb", "rpm"])
def test_the_order_is_total(ordering: Any) -> None:
    """Also for texts that the tools refuse, and for characters that nobody prints: an answer, and no cycle."""

    @examples(200)
    @given(families(TEXTS | st.text(st.characters(exclude_categories=[]), max_size=20)))
    def holds(versions: list[str]) -> None:
        compare, key = ordering.compare, ordering.sort_key
        for a, b in combinations(versions, 2):
            assert compare(a, b) == -compare(b, a)
            assert (compare(a, b) == 0) == (key(a) == key(b))
        for a, b, c in permutations(versions[:6], 3):
            if compare(a, b) <= 0 and compare(b, c) <= 0:
                assert compare(a, c) <= 0
        ascending = sorted(versions, key=key)
        assert all(compare(a, b) <= 0 for a, b in combinations(ascending, 2))

    holds()


@given(TEXTS)
def test_a_parsed_version_is_printed_as_an_equal_one(text: str) -> None:
    for ordering in (deb, rpm):
        try:
            printed = str(ordering.parse(text))
        except InvalidVersion:
            continue
        assert ordering.compare(printed, text) == 0
        assert ordering.parse(printed) == ordering.parse(text)
