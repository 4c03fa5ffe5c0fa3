"""Fixtures of the real-root tests. Interfaces: roots.py and repository.py.

- `apt_base` (session): the folder of the base; building it takes half a minute, once.
- `lab_network` (session): a LabNetwork; servers that hosts must reach listen on `lab_network.address`.
- `make_root(name) -> Root`: a fresh host with the agent in it; ended and deleted after the test.
- `make_repository(name="lab", origin="Lab") -> AptRepository`: empty, signed, served on the lab's network.
- `rpm_base`, `make_rpm_root(name, pose) -> Root`, `make_rpm_repository(name="lab") -> RpmRepository`: the same for dnf.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e import roots
from tests.e2e.repository import AptRepository, FileServer, SigningKey
from tests.e2e.roots import CannotRun, LabNetwork, Root
from tests.e2e.rpm_hosts import Pose, pose
from tests.e2e.rpm_repository import RpmRepository, RpmSigningKey

MakeRoot = Callable[[str], Root]
MakeRepository = Callable[..., AptRepository]
MakeRpmRoot = Callable[[str, Pose], Root]
MakeRpmRepository = Callable[..., RpmRepository]


@pytest.fixture(scope="session")
def apt_base() -> Path:
    try:
        return roots.apt_base()
    except CannotRun as reason:
        pytest.skip(f"NO REAL ROOTS, apt is not tested for real: {reason}")


@pytest.fixture(scope="session")
def rpm_base() -> Path:
    try:
        return roots.rpm_base()
    except CannotRun as reason:
        pytest.skip(f"NO REAL ROOTS, dnf is not tested for real: {reason}")


@pytest.fixture(scope="session")
def lab_network() -> Iterator[LabNetwork]:
    try:
        network = LabNetwork()
    except CannotRun as reason:
        pytest.skip(f"NO REAL ROOTS, no package manager is tested for real: {reason}")
    yield network
    network.close()


@pytest.fixture
def make_root(apt_base: Path, lab_network: LabNetwork) -> Iterator[MakeRoot]:
    with ExitStack() as stack:

        def make(name: str) -> Root:
            root = Root(apt_base, lab_network, name)
            stack.callback(root.close)
            root.install_agent()
            return root

        yield make


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    try:
        key = SigningKey(tmp_path_factory.mktemp("key") / "home")
    except CannotRun as reason:
        pytest.skip(f"NO REPOSITORIES, apt is not tested for real: {reason}")
    yield key
    key.close()


@pytest.fixture
def make_repository(tmp_path: Path, lab_network: LabNetwork, signing_key: SigningKey) -> Iterator[MakeRepository]:
    with ExitStack() as stack:

        def make(name: str = "lab", origin: str = "Lab") -> AptRepository:
            folder = tmp_path / "repositories" / name
            folder.mkdir(parents=True)
            server = FileServer(folder, lab_network.address)
            stack.callback(server.close)
            return AptRepository(folder, signing_key, server.url, name, origin)

        yield make


@pytest.fixture
def make_rpm_root(
    rpm_base: Path, lab_network: LabNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeRpmRoot]:
    built = tmp_path_factory.getbasetemp() / "release-packages"
    with ExitStack() as stack:

        def make(name: str, as_what: Pose) -> Root:
            root = Root(rpm_base, lab_network, name)
            stack.callback(root.close)
            root.install_agent()
            pose(root, as_what, built)
            return root

        yield make


@pytest.fixture(scope="session")
def rpm_signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmSigningKey]:
    try:
        key = RpmSigningKey(tmp_path_factory.mktemp("rpm-key") / "home")
    except CannotRun as reason:
        pytest.skip(f"NO REPOSITORIES, dnf is not tested for real: {reason}")
    yield key
    key.close()


@pytest.fixture
def make_rpm_repository(
    tmp_path: Path, lab_network: LabNetwork, rpm_signing_key: RpmSigningKey
) -> Iterator[MakeRpmRepository]:
    with ExitStack() as stack:

        def make(name: str = "lab") -> RpmRepository:
            folder = tmp_path / "repositories" / name
            folder.mkdir(parents=True)
            server = FileServer(folder, lab_network.address)
            stack.callback(server.close)
            return RpmRepository(folder, rpm_signing_key, server.url, name)

        yield make
