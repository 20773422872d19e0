"""The text of an API key: `tg_<id>_<secret>`, made here, taken apart here.

The secret has 256 random bits. One SHA-256 of it is kept: a slow hash protects what people can think of, adds nothing
to what no one can guess, and would be paid by every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

PATTERN = re.compile(rb"tg_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKey(NamedTuple):
    """`id` is no secret: it says which key to compare with. Made for every request, and so a tuple."""

    id: str
    secret: bytes
    """64 hexadecimal digits."""

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r})"

    def text(self) -> str:
        """What its holder is given."""
        return f"tg_{self.id}_{self.secret.decode()}"

    def digest(self) -> bytes:
        """SHA-256 of the secret's digits: 32 bytes."""
        return hashlib.sha256(self.secret).digest()


def new_key() -> ApiKey:
    """One that nobody has."""
    return ApiKey(secrets.token_hex(6), secrets.token_hex(32).encode())


def parse_key(text: bytes) -> ApiKey | None:
    """What a caller sent as a key; None where it can not be one."""
    found = PATTERN.fullmatch(text)
    return ApiKey(found[1].decode(), found[2]) if found else None
