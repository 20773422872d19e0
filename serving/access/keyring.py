"""The keys of a server, found by what a caller sends."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from time import monotonic

from serving.access.account import Account
from serving.access.api_key import parse_key
from serving.access.caller import Caller
from serving.access.counts import AccessCounts
from serving.access.key_file import KeyEntry
from serving.access.token_bucket import TokenBucket

NO_DIGEST = bytes(32)
"""Compared with where there is no such key, so that the answer takes as long."""


class Keyring:
    """Never changes: a file that was edited makes another, in which keys keep what is left of their rate."""

    def __init__(
        self, entries: Mapping[str, KeyEntry], counts: AccessCounts, before: Mapping[str, Account] | None = None
    ) -> None:
        kept = before or {}
        self.accounts = {key_id: open_account(entry, counts, kept.get(key_id)) for key_id, entry in entries.items()}

    def find(self, token: bytes) -> Account | None:
        """Whose key this is. Compared in constant time, so that an answer's delay tells nothing about a key."""
        key = parse_key(token)
        if key is None:
            return None
        account = self.accounts.get(key.id)
        expected = account.digest if account else NO_DIGEST
        return account if hmac.compare_digest(key.digest(), expected) else None


def open_account(entry: KeyEntry, counts: AccessCounts, before: Account | None) -> Account:
    bucket = before.bucket if before else None
    if entry.rate is None:
        bucket = None
    elif bucket is None or bucket.rate != entry.rate:
        bucket = TokenBucket(entry.rate, monotonic())
    return Account(Caller(entry.name, entry.role, counts=counts), counts, bytes.fromhex(entry.sha256), bucket)
