"""The models of an installation, compiled once for this folder."""

from collections.abc import Callable
from typing import Any

import pytest

from patchwright.wire.model import Models, Operation


@pytest.fixture(scope="session")
def models() -> Models:
    return Models.load()


@pytest.fixture(scope="session")
def operation(models: Models) -> Callable[[str], Operation]:
    """Look up an operation that must exist, by name; of SSM unless a prefix is given."""

    def find(name: str) -> Operation:
        found: Any = models.lookup(name if "." in name else f"AmazonSSM.{name}")
        assert isinstance(found, Operation), found
        return found

    return find
