"""Options of `serve` and their variables: an option wins over the environment, that over the default."""

import pytest

from patchwright.cli.main import parser
from patchwright.cli.serve import settings_from


@pytest.mark.parametrize(
    ("option", "variable", "fast"),
    [
        ((), None, False),
        (("--fast-start",), None, True),
        ((), "yes", True),
        ((), "1", True),
        ((), "no", False),
        (("--fast-start",), "no", True),
    ],
)
def test_fast_start(monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...], variable: str | None, fast: bool) -> None:
    if variable is not None:
        monkeypatch.setenv("PATCHWRIGHT_FAST_START", variable)
    assert settings_from(parser().parse_args(["serve", *option])).fast_start is fast
