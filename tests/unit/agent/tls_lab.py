"""A certificate authority with one server certificate, for tests of TLS."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Files in PEM form, and the SHA-256 of the authority's certificate."""

    def __init__(self, folder: Path, ca: x509.Certificate) -> None:
        self.ca_file, self.certificate_file, self.key_file = (
            folder / name for name in ("ca.pem", "server.pem", "key.pem")
        )
        self.ca_sha256 = ca.fingerprint(hashes.SHA256()).hex()
        self.files = (str(self.certificate_file), str(self.key_file))

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files)
        return context


def authority(folder: Path, address: str) -> Authority:
    """A new authority, whose server certificate is for `address`."""
    folder.mkdir(parents=True)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority {folder.name}")])
    ca = _certificate(ca_name, ca_name, ca_key, ca_key, x509.BasicConstraints(ca=True, path_length=0))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    server = _certificate(name, ca_name, server_key, ca_key, alternative)
    made = Authority(folder, ca)
    made.ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    made.certificate_file.write_bytes(server.public_bytes(Encoding.PEM))
    made.key_file.write_bytes(server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _certificate(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    )
    return builder.sign(issuer_key, hashes.SHA256())
