"""When a certificate ends. Python's ssl says so of certificates that others show, and not of one's own.

What is read is the few fields before it (RFC 5280, section 4.1), in DER: each a tag, a length and a content.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from tasks.errors import InvalidRecipe

PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
VERSION = 0xA0
"""Tag of a field that the oldest certificates leave out."""
UTC_TIME = 0x17
"""Tag of a time whose year has two digits: 50 is 1950, 49 is 2049."""
FIELDS_BEFORE_VALIDITY = 3
"""Serial number, algorithm, issuer."""


def chain_ends_at(pem: bytes) -> float:
    """Seconds since the epoch: the end of whichever certificate of a PEM file ends first. Raises InvalidRecipe."""
    found = PEM.findall(pem)
    if not found:
        raise InvalidRecipe("this holds no certificate in PEM")
    try:
        return min(ends_at(base64.b64decode(text)) for text in found)
    except (ValueError, IndexError, binascii.Error) as error:
        raise InvalidRecipe(f"this is no certificate of X.509: {error}") from error


def ends_at(der: bytes) -> float:
    """Of one certificate. Raises ValueError or IndexError for what is none."""
    _, start, _ = element(der, 0)
    _, at, _ = element(der, start)  # what is signed
    tag, _, end = element(der, at)
    if tag == VERSION:
        at = end
    for _ in range(FIELDS_BEFORE_VALIDITY):
        _, _, at = element(der, at)
    _, not_before, _ = element(der, at)
    _, _, not_after = element(der, not_before)
    tag, start, end = element(der, not_after)
    text = der[start:end].decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag of the element at a place, where its content starts, and where it ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        num_bytes = length & 0x7F
        length, start = int.from_bytes(der[start : start + num_bytes]), start + num_bytes
    if start + length > len(der):
        raise ValueError(f"it ends after {len(der)} bytes, in the middle of a field")
    return der[at], start, start + length
