"""The temporary keys: refreshed at half-life, kept over restarts, back-off by the kind of failure, the server's time.

Source: spec/agent-protocol.md 4.2.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from daemon_lab import NODE_ID, enrol
from fake_server import FakeServer, Refusal

from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.credentials import Credentials, NoCredentials
from patchwright_agent.daemon.identity import load
from patchwright_agent.daemon.node import Node
from patchwright_agent.transport import Server, Unreachable

TOKEN_CALL = "RequestManagedInstanceRoleToken"


class MovableClock(Clock):
    """A host's clock that is `ahead` of the true time."""

    def __init__(self, ahead: float = 0.0) -> None:
        super().__init__()
        self.ahead = ahead

    def now(self) -> float:
        return super().now() + self.ahead


class BrokenServer:
    """Fails every call in the same way."""

    clock_offset = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    def call(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise self.error


def credentials(server: Any, state_dir: Path, clock: Clock) -> Credentials:
    return Credentials(load(str(state_dir)), server, str(state_dir), clock)


def token_calls(server: FakeServer) -> int:
    return sum(operation == TOKEN_CALL for operation, _ in server.calls)


def test_keys_are_kept_over_a_restart_and_refreshed_at_half_of_their_life(tmp_path: Path) -> None:
    with FakeServer() as fake:
        enrol(fake, tmp_path / "state")
        server, clock = Server(fake.url), MovableClock()
        first = credentials(server, tmp_path / "state", clock).current()
        assert credentials(server, tmp_path / "state", clock).current().access_key_id == first.access_key_id
        clock.ahead = 1790
        assert credentials(server, tmp_path / "state", clock).current().access_key_id == first.access_key_id
        assert token_calls(fake) == 1
        fake.clock_offset = clock.ahead = 1810
        renewed = credentials(server, tmp_path / "state", clock).current()
        assert renewed.access_key_id != first.access_key_id
        assert token_calls(fake) == 2
        server.close()
    assert fake.violations == []
    assert (tmp_path / "state" / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_keys_of_another_node_are_not_used(tmp_path: Path) -> None:
    with FakeServer() as fake:
        enrol(fake, tmp_path / "state")
        server = Server(fake.url)
        credentials(server, tmp_path / "state", Clock()).current()
        path = tmp_path / "state" / "credentials.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "InstanceId": "mi-00000000000000000"}))
        credentials(server, tmp_path / "state", Clock()).current()
        assert token_calls(fake) == 2
        path.write_text("{torn")
        credentials(server, tmp_path / "state", Clock()).current()
        assert token_calls(fake) == 3
        server.close()


def test_a_failed_refresh_leaves_unexpired_keys_in_use(tmp_path: Path) -> None:
    with FakeServer() as fake:
        enrol(fake, tmp_path / "state")
        server, clock = Server(fake.url), MovableClock()
        source = credentials(server, tmp_path / "state", clock)
        first = source.current()
        server.close()
    clock.ahead = 2000
    assert source.current() is first
    clock.ahead = 3700
    with pytest.raises(NoCredentials):
        source.current()


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (Refusal("AccessDeniedException"), 1500, 1800),
        (Refusal("MachineFingerprintDoesNotMatch"), 1500, 1800),
        (Refusal("InternalServerError", status=500), 11, 22),
    ],
)
def test_how_long_a_refused_node_waits(tmp_path: Path, error: Refusal, least: float, most: float) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise error

    with FakeServer() as fake:
        enrol(fake, tmp_path / "state")
        fake.before[TOKEN_CALL] = refuse
        server = Server(fake.url)
        source = credentials(server, tmp_path / "state", Clock())
        for _ in range(3):
            with pytest.raises(NoCredentials) as caught:
                source.current()
        server.close()
        assert token_calls(fake) == 1, "no second attempt before it's due"
    assert least - 2 <= caught.value.wait_seconds <= most


def test_an_unreachable_server_is_asked_again_ever_more_slowly_up_to_half_an_hour(tmp_path: Path) -> None:
    with FakeServer() as fake:
        enrol(fake, tmp_path / "state")
    clock = MovableClock()
    source = credentials(BrokenServer(Unreachable("away")), tmp_path / "state", clock)
    waits = []
    for _ in range(14):
        with pytest.raises(NoCredentials) as caught:
            source.current()
        waits.append(caught.value.wait_seconds)
        clock.ahead += caught.value.wait_seconds + 1
    for attempt, wait in enumerate(waits[:10]):
        assert 2**attempt - 1 <= wait <= 2**attempt * 1.2
    assert max(waits) <= 1800


@pytest.mark.parametrize("offset", [7200.0, -7200.0])
def test_a_wrong_clock_is_noticed_said_and_made_up_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], offset: float
) -> None:
    with FakeServer() as fake:
        fake.clock_offset = offset
        identity = enrol(fake, tmp_path / "state")
        server, clock = Server(fake.url), Clock()
        node = Node(identity, server, credentials(server, tmp_path / "state", clock), clock)
        node.send_probe()
        assert re.search("this host's clock is 7(199|200|201) s", capsys.readouterr().err)  # a Date has whole seconds
        assert abs(clock.offset - offset) < 5
        assert token_calls(fake) == 2, "one refused, then one by the server's time"
        again = Clock()
        Node(identity, server, credentials(server, tmp_path / "state", again), again).send_probe()
        assert token_calls(fake) == 2, "the offset is kept over a restart"
        server.close()
    assert fake.violations == []
    assert len(fake.heartbeats) == 2


def test_keys_that_the_server_no_longer_knows_are_replaced(tmp_path: Path) -> None:
    with FakeServer() as fake:
        identity = enrol(fake, tmp_path / "state")
        server, clock = Server(fake.url), MovableClock()
        node = Node(identity, server, credentials(server, tmp_path / "state", clock), clock)
        node.send_probe()
        fake.keys.clear()
        with pytest.raises(Exception, match="UnrecognizedClientException"):
            node.send_probe()
        assert token_calls(fake) == 1, "brand-new keys aren't given up, lest a broken server be hammered"
        clock.ahead = 100
        node.send_probe()
        assert token_calls(fake) == 2
        server.close()
    assert {beat["InstanceId"] for beat in fake.heartbeats} == {NODE_ID}
