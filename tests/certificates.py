"""Certificates of tests: an authority, and servers that it vouches for."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESSES = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]

A_DAY = timedelta(days=1)


class Authority:
    """Signs for this machine. `file`: what a client trusts."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), named(name)
        self.file = folder / f"{name}.pem"
        builder = builder_of(self._name, self._name, self._key.public_key())
        basics = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = builder.add_extension(basics, critical=True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, certificate: Path, key: Path, password: bytes = b"", lasts: timedelta = A_DAY) -> int:
        """Writes a server's certificate and its key; returns the serial number, by which it is recognised."""
        private = ec.generate_private_key(ec.SECP256R1())
        builder = builder_of(named("server"), self._name, private.public_key(), lasts)
        builder = builder.add_extension(x509.SubjectAlternativeName(ADDRESSES), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        key.write_bytes(
            private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return signed.serial_number

    def trusted(self) -> ssl.SSLContext:
        """Of a client that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.file))


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def builder_of(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta = A_DAY
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lasts)
    )
