"""The end of certificates that a library of certificates made."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.access.certificate_end import chain_ends_at, ends_at
from tasks.errors import InvalidRecipe

KEY = ec.generate_private_key(ec.SECP256R1())
NOT_BEFORE = datetime(1951, 1, 1)
ENDS = st.datetimes(min_value=datetime(1951, 1, 2), max_value=datetime(9999, 12, 31, 23, 59, 59))


def certificate(end: datetime, name: str = "server") -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] * 20)  # long enough for a length of two bytes
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOT_BEFORE).not_valid_after(end)
    return builder.sign(KEY, hashes.SHA256())


def pem(end: datetime) -> bytes:
    return certificate(end).public_bytes(serialization.Encoding.PEM)


@settings(max_examples=25, deadline=None)
@given(end=ENDS, name=st.text(min_size=1, max_size=15).filter(str.isprintable))
def test_the_end_is_that_which_was_signed(end: datetime, name: str) -> None:
    made = certificate(end.replace(microsecond=0), name)
    expected = made.not_valid_after_utc.timestamp()
    assert ends_at(made.public_bytes(serialization.Encoding.DER)) == expected
    assert chain_ends_at(b"subject=/CN=x\n" + made.public_bytes(serialization.Encoding.PEM)) == expected


def test_a_chain_ends_with_the_first_of_its_certificates() -> None:
    first, later = datetime(2026, 12, 24, 12), datetime(2051, 1, 1)
    assert chain_ends_at(pem(later) + pem(first) + pem(later)) == first.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", [b"", b"no PEM", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_file_without_certificates_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRecipe, match="holds no certificate in PEM"):
        chain_ends_at(text)


@settings(max_examples=60, deadline=None)
@given(der=st.binary(max_size=200), cut=st.integers(0, 400))
def test_what_is_none_is_refused_and_nothing_worse(der: bytes, cut: int) -> None:
    whole = certificate(datetime(2030, 1, 1)).public_bytes(serialization.Encoding.DER)
    for bad in (der, whole[:cut]):
        text = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----" % base64.b64encode(bad)
        with pytest.raises(InvalidRecipe, match=r"holds no certificate|no certificate of X\.509"):
            chain_ends_at(text)
