"""`--tls auto`: an own certificate authority in the data folder. Source: decisions.md 19."""

import hashlib
import ipaddress
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CA_LIFETIME = timedelta(days=3_650)
SERVER_LIFETIME = timedelta(days=396)
"""With the day before it the longest that common clients accept; renewed at a start in the last month."""
CLOCKS_BEHIND = timedelta(days=1)
"""Certificates are valid from before they were made: a node whose clock is behind (one that takes a hardware clock in
local time for UTC, for one) must be able to connect, to be told so."""
RENEW_BEFORE = timedelta(days=30)


class TlsFiles:
    """Where the authority and the server's certificate live."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "tls"
        self.ca = self.folder / "ca.pem"
        self.ca_key = self.folder / "ca.key"
        self.cert = self.folder / "server.pem"
        self.key = self.folder / "server.key"


def ensure(data_dir: Path, names: list[str], now: datetime) -> TlsFiles:
    """Make the authority once, and a certificate for `names` (hosts and addresses) whenever there is none fit."""
    files = TlsFiles(data_dir)
    files.folder.mkdir(mode=0o700, exist_ok=True)
    if not files.ca.exists() or not files.ca_key.exists():
        _make_ca(files, now)
    if not _fits(files, names, now):
        _make_server(files, names, now)
    return files


def ca_sha256(ca_file: Path) -> str:
    """SHA-256 of the authority's certificate (DER) in hex: what `register --ca-sha256` pins."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = x509.load_pem_x509_certificate(ca_file.read_bytes())
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def names_of(listen_host: str, url: str) -> list[str]:
    """The names that the server's certificate must carry."""
    names = {"localhost", "127.0.0.1", "::1", urlsplit(url).hostname or "localhost"}
    if listen_host not in ("0.0.0.0", "::"):  # noqa: S104
        names.add(listen_host)
    return sorted(names)


def _write(path: Path, content: bytes) -> None:
    """Replace a private file at once: a reader sees the old one or the new one."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _pem_key(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def _builder(subject: str, issuer: Any, public_key: Any, now: datetime, lifetime: timedelta) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer if issuer is not None else name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_BEHIND)
        .not_valid_after(now + lifetime)
    )


def _make_ca(files: TlsFiles, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("Patchwright CA", None, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(files.ca_key, _pem_key(key))
    _write(files.ca, certificate.public_bytes(Encoding.PEM))


def _make_server(files: TlsFiles, names: list[str], now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    ca_key: Any = serialization.load_pem_private_key(files.ca_key.read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder("Patchwright server", authority.subject, key.public_key(), now, SERVER_LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(files.key, _pem_key(key))
    _write(files.cert, certificate.public_bytes(serialization.Encoding.PEM))


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _fits(files: TlsFiles, names: list[str], now: datetime) -> bool:
    from cryptography import x509

    if not files.cert.exists() or not files.key.exists():
        return False
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = {_general_name(n) for n in names}
    issued_here = certificate.issuer == x509.load_pem_x509_certificate(files.ca.read_bytes()).subject
    return issued_here and wanted <= set(found) and certificate.not_valid_after_utc > now + RENEW_BEFORE
