"""Settings, keys at rest, certificates, rate limits, waits and counters of the edge."""

import asyncio
import logging
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from patchwright.server.limits import RateLimit, Throttled
from patchwright.server.secrets import Sealer, WrongKey, check_value, load_master_key
from patchwright.server.serve import is_worth_a_line
from patchwright.server.settings import BadSettings, Settings
from patchwright.server.telemetry import JsonLines, Telemetry
from patchwright.server.tls import ca_sha256, ensure, names_of
from patchwright.server.waits import Waits

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"listen_host": "0.0.0.0"}, "TLS"),
        ({"listen_host": "192.0.2.1"}, "TLS"),
        ({"account_id": "12"}, "12 digits"),
        ({"tls": "sometimes"}, "--tls"),
        ({"tls_cert": Path("x")}, "go together"),
        ({"clock_tolerance_minutes": 60}, "1 to 15"),
        ({"apt_delays": "maybe"}, "honour or ignore"),
        ({"public_url": "ftp://x"}, "https://"),
    ],
)
def test_settings_that_would_hurt_are_refused_with_what_to_do(
    tmp_path: Path, values: dict[str, object], word: str
) -> None:
    with pytest.raises(BadSettings, match=word):
        Settings(data_dir=tmp_path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"listen_host": "::1"},
        {"listen_host": "0.0.0.0", "tls": "auto"},
        {"listen_host": "0.0.0.0", "insecure_http": True},
    ],
)
def test_settings_that_are_safe_or_asked_for_are_taken(tmp_path: Path, values: dict[str, object]) -> None:
    assert Settings(data_dir=tmp_path, **values).url  # type: ignore[arg-type]


def test_the_master_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    with pytest.raises(WrongKey, match="does not exist"):
        load_master_key(path, make=None)
    made = load_master_key(path, make=b"k" * 32)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_master_key(path, make=b"z" * 32) == made
    path.chmod(0o644)
    with pytest.raises(WrongKey, match="chmod 600"):
        load_master_key(path, make=None)


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    path.write_text("not hex")
    with pytest.raises(WrongKey, match="32 bytes"):
        load_master_key(path, make=None)


def test_a_sealed_secret_opens_only_with_its_key_and_for_its_owner() -> None:
    sealed = Sealer(b"a" * 32).seal("hush", bound_to="AKIA1")
    assert b"hush" not in sealed
    assert Sealer(b"a" * 32).open(sealed, bound_to="AKIA1") == "hush"
    for key, owner in ((b"b" * 32, "AKIA1"), (b"a" * 32, "AKIA2")):
        with pytest.raises(WrongKey):
            Sealer(key).open(sealed, bound_to=owner)
    assert check_value(b"a" * 32) != check_value(b"b" * 32)


def test_certificates_verify_by_their_authority_and_are_renewed_in_time(tmp_path: Path) -> None:
    files = ensure(tmp_path, names_of("127.0.0.1", "https://patch.example:8484"), NOW)
    first = files.cert.read_bytes()
    pin = ca_sha256(files.ca)
    certificate = x509.load_pem_x509_certificate(first)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca.read_bytes()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "patch.example" in names.get_values_for_type(x509.DNSName)
    ssl.create_default_context(cafile=str(files.ca))
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in files.folder.iterdir())
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    behind = NOW - timedelta(hours=14)  # a clock that takes local time for UTC
    assert max(authority.not_valid_before_utc, certificate.not_valid_before_utc) < behind
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=398)
    ensure(tmp_path, names_of("127.0.0.1", "https://patch.example:8484"), NOW + timedelta(days=300))
    assert files.cert.read_bytes() == first
    ensure(tmp_path, names_of("127.0.0.1", "https://patch.example:8484"), NOW + timedelta(days=380))
    assert files.cert.read_bytes() != first
    renewed = files.cert.read_bytes()
    ensure(tmp_path, names_of("127.0.0.1", "https://other.example"), NOW + timedelta(days=380))
    assert files.cert.read_bytes() != renewed
    assert ca_sha256(files.ca) == pin


def test_the_rate_limit_is_for_each_address_and_refills() -> None:
    limit = RateLimit(burst=2, per_second=1.0)
    limit.take("a", 0.0)
    limit.take("a", 0.0)
    with pytest.raises(Throttled):
        limit.take("a", 0.0)
    limit.take("b", 0.0)
    limit.take("a", 1.1)


def test_a_flood_of_addresses_keeps_memory_bounded() -> None:
    limit = RateLimit(burst=1, per_second=0.1)
    for i in range(10_050):
        limit.take(f"10.0.{i // 256}.{i % 256}", 0.0)
    assert len(limit._buckets) <= 10_000


def test_a_wake_between_look_and_wait_is_not_lost() -> None:
    async def scenario() -> bool:
        waits = Waits()
        waits.bind(asyncio.get_running_loop())
        event = waits.enter("node:1")
        thread = threading.Thread(target=waits.wake, args=("node:1",))
        thread.start()
        thread.join()
        await asyncio.wait_for(event.wait(), 2)
        waits.leave("node:1", event)
        return waits.count == 0

    assert asyncio.run(scenario())


def test_a_store_that_lost_its_wakes_wakes_everybody() -> None:
    async def scenario() -> None:
        waits = Waits()
        waits.bind(asyncio.get_running_loop())
        events = [waits.enter(f"node:{i}") for i in range(3)]
        waits.wake("*")
        await asyncio.wait_for(asyncio.gather(*(e.wait() for e in events)), 2)

    asyncio.run(scenario())


def test_log_lines_are_one_json_object_whatever_a_host_says() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "node said %s", ("\x1b[31m\nfake: line",), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "\x1b" not in line


def test_counters_are_in_the_text_format() -> None:
    telemetry = Telemetry()
    telemetry.called("SendCommand", "OK", 0.004)
    telemetry.called("SendCommand", "ValidationException", 2.0)
    text = telemetry.exposition({"patchwright_parked_polls": 3.0})
    assert 'patchwright_requests_total{operation="SendCommand",code="OK"} 1' in text
    assert 'patchwright_request_seconds_bucket{operation="SendCommand",le="0.005"} 1' in text
    assert 'patchwright_request_seconds_bucket{operation="SendCommand",le="+Inf"} 2' in text
    assert "patchwright_parked_polls 3" in text


def test_a_stranger_cannot_fill_the_log_with_sockets() -> None:
    def kept(text: str, *values: object) -> bool:
        return is_worth_a_line(logging.LogRecord("uvicorn.error", logging.INFO, "", 0, text, values, None))

    assert not kept('%s - "WebSocket %s" 403', "192.0.2.1:5", "/x")
    assert not kept('%s - "WebSocket %s" [accepted]', "192.0.2.1:5", "/x")
    assert not kept("connection rejected (%d %s)", 400, "Bad Request")
    assert not kept("ASGI callable returned without completing handshake.")
    assert kept("Application startup complete.")
