"""A lock per model that expires, on any store that can keep small named records.

Stores offer no compare-and-swap (MLflow has none), so a lock is a record of a unique name: write one, list them all,
and whoever finds no other live record holds the lock; everybody else takes its own back and tries again. Each writes
before it looks, so of two contenders at least the later one sees the other: both may withdraw, never do both hold.
A record that expired counts for nothing; there is no moment of "breaking" a lock that two could do at once.
Clocks of the machines involved must agree to a few seconds.
"""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

import msgspec

from tasks.errors import Conflict, NotReady


class LockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's claim. `expires_at`: seconds since the epoch."""

    owner: str
    expires_at: float


class LockRecords(Protocol):
    """What a lock needs of a store. Each call is atomic, and a listing shows every record written before it began."""

    def lock_records(self, name: str) -> Mapping[str, LockRecord]: ...

    def put_lock(self, name: str, key: str, record: LockRecord) -> None: ...

    def drop_lock(self, name: str, key: str) -> None:
        """Dropping a record that is gone is no error."""
        ...


class Locked(Conflict):
    """Somebody else was at it, or faster. Nothing was changed, and the same may well succeed a little later."""


class Lock:
    """A held lock. Ask `check` right before the step that must not happen twice."""

    def __init__(self, name: str, record: LockRecord) -> None:
        self.name, self.record = name, record

    def check(self) -> None:
        """Raises Locked once the time is up, because somebody else may hold the lock by now."""
        if time.time() >= self.record.expires_at:
            raise Locked(f"the lock on {self.name!r} expired before the work was done; nothing was changed: try again")


@contextmanager
def hold_lock(store: LockRecords, name: str, owner: str, ttl_s: float, patience_s: float = 5.0) -> Iterator[Lock]:
    """The lock of one model for at most `ttl_s`. Raises Locked, naming the holder, after `patience_s` of trying."""
    give_up_at = time.monotonic() + patience_s
    for attempt in itertools.count(1):
        key, record = uuid.uuid4().hex, LockRecord(owner=owner, expires_at=time.time() + ttl_s)
        store.put_lock(name, key, record)
        try:
            rivals = live_rivals(store, name, key)
            if not rivals:
                yield Lock(name, record)
                return
        finally:
            with suppress(NotReady):  # a store that went away can not undo what was done; the record expires
                store.drop_lock(name, key)
        if time.monotonic() > give_up_at:
            holder = rivals[0]
            raise Locked(
                f"{name!r} is locked by {holder.owner} for {max(0.0, holder.expires_at - time.time()):.0f} s more; "
                "try again when they are done"
            )
        # At random, so that two who withdrew for each other do not meet again.
        time.sleep(random.uniform(0.01, 0.05 * attempt))


def live_rivals(store: LockRecords, name: str, own_key: str) -> list[LockRecord]:
    """Everybody else's claims that still count. Sweeps away those long expired."""
    now, rivals = time.time(), []
    for key, record in store.lock_records(name).items():
        if key == own_key:
            continue
        if record.expires_at > now:
            rivals.append(record)
        else:
            store.drop_lock(name, key)
    return rivals
