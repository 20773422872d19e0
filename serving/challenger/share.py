"""Which requests belong to a share of the traffic: by a hash of their id, so that anybody can say it beforehand.

The same id falls the same way on every replica, today and when it is sent again, and who is within a share stays within
it when the share grows."""

from __future__ import annotations

from hashlib import blake2b

CANARY, SHADOW = b"canary", b"shadow"
"""Hashed apart, so that the copies are no part of what the challenger answers but of all that the champion does."""
DIGEST_BYTES = 8


def falls_within(share: float, key: bytes, purpose: bytes) -> bool:
    """Whether a key is among this share, 0 to 1, of all keys."""
    digest = blake2b(key, digest_size=DIGEST_BYTES, person=purpose).digest()
    return int.from_bytes(digest) < share * float(2 ** (8 * DIGEST_BYTES))
