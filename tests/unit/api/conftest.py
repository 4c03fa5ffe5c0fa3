"""The harness of this folder as fixtures."""

import pytest
from tests.unit.api.harness import Api

from patchwright.store.engine import Engine
from patchwright.wire.model import Models


@pytest.fixture(scope="session")
def models() -> Models:
    return Models.load()


@pytest.fixture
def api(store: Engine, models: Models) -> Api:
    return Api(store, models)
