"""SlotPool: which slots are taken, and what every slot remembers, so that a prompt goes on from what is there already.

Free slots are the cache of prefixes. A decoder computes all rows from the first slot in use to the last, so work stays
close together: a prompt goes where it makes that range longer by as little as possible, and what it needs of another
slot is copied there. Equal beginnings are found by comparing a prompt with all slots at once: that takes microseconds
and needs no index.

Whoever can measure the time to the first token can tell whether a long beginning was asked for recently: tenants who
must not learn even that from each other need models of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.generation.history import History

MIN_SHARED = 16
"""Positions below which a copy of a state costs more than it saves."""


class Copy(NamedTuple):
    """The state of one slot is to be put over that of another."""

    source: int
    target: int


class Placement(NamedTuple):
    """Where a prompt goes, how much of it is there once the copies are made, and at which position its state should be
    kept for others (0: nowhere)."""

    slot: int
    num_cached: int
    copies: list[Copy]
    snapshot_at: int = 0


class SlotPool:
    """Bookkeeping alone: copies are asked of whoever has the decoder, and must be made in the order they come in."""

    def __init__(self, num_slots: int, context: int, can_rewind: bool) -> None:
        self.num_slots, self._can_rewind = num_slots, can_rewind
        self._tokens = np.zeros((num_slots, context), np.int32)
        self._lengths = np.zeros(num_slots, np.int64)
        self._digests = [b""] * num_slots
        self._is_free = [True] * num_slots
        self._ticks = count(1)
        self._used_at = [0] * num_slots

    @property
    def num_free(self) -> int:
        return sum(self._is_free)

    def take_any(self) -> int:
        """A free slot, for a state that is copied there later."""
        slot = self._narrowest(np.zeros(self.num_slots, np.int64))
        self._is_free[slot] = False
        return slot

    def take(self, history: History) -> Placement:
        """A free slot, with as much of a prompt in it as some slot has."""
        shared = self._shared(history)
        usable = self._usable(shared, history)
        slot = self._narrowest(np.where(usable >= MIN_SHARED, usable, 0))
        best = int(usable.argmax())
        source = best if usable[best] - usable[slot] >= MIN_SHARED else slot
        num_cached = int(usable[source])
        # A cache that goes on still holds its beginning; a recurrent state that goes on is another one.
        copies = self._save(slot, num_cached if source == slot and self._can_rewind else 0, source)
        self._is_free[slot] = False
        if source != slot:
            copies.append(self.copy(source, slot))
        self._lengths[slot] = num_cached
        snapshot_at = 0 if self._can_rewind else min(int(shared.max()), history.length - 1)
        return Placement(slot, num_cached, copies, snapshot_at if snapshot_at - num_cached >= MIN_SHARED else 0)

    def improve(self, slot: int, history: History, num_cached: int) -> Placement:
        """The same for a slot that was taken before: others may have more of the prompt by now."""
        usable = self._usable(self._shared(history), history)
        source = int(usable.argmax())
        if usable[source] - num_cached < MIN_SHARED:
            return Placement(slot, num_cached, [])
        copies = [self.copy(source, slot)]
        self._lengths[slot] = usable[source]
        return Placement(slot, int(usable[source]), copies)

    def copy(self, source: int, target: int) -> Copy:
        """The target remembers from now on what the source does."""
        length = self._lengths[source]
        self._tokens[target, :length] = self._tokens[source, :length]
        self._lengths[target], self._digests[target] = length, self._digests[source]
        self._used_at[source] = next(self._ticks)
        return Copy(source, target)

    def snapshot(self, slot: int) -> list[Copy]:
        """Keep the state of a slot as it is now in a free one, if there is any."""
        spare = self._spare(())
        return [] if spare is None else [self._keep(slot, spare)]

    def fill(self, slot: int, history: History, start: int, stop: int) -> None:
        """These positions of a prompt have been taken into the slot."""
        self._tokens[slot, start:stop] = history.tokens[start:stop]
        self._lengths[slot] = stop
        self._digests[slot] = history.digest

    def append(self, slot: int, token: int) -> None:
        """The slot has been taken one token further."""
        self._tokens[slot, self._lengths[slot]] = token
        self._lengths[slot] += 1

    def release(self, slots: Iterable[int]) -> None:
        """Nobody works in these slots any more; they keep what they remember."""
        for slot in slots:
            self._is_free[slot] = True
            self._used_at[slot] = next(self._ticks)

    def forget(self, slots: Iterable[int]) -> None:
        """The states of these slots are not what they should be."""
        for slot in slots:
            self._lengths[slot] = 0

    def held(self, stepping: Iterable[int]) -> dict[int, int]:
        """Every other slot that remembers something → positions that it holds."""
        lengths = dict(enumerate(self._lengths.tolist()))
        for slot in stepping:
            del lengths[slot]
        return {slot: length for slot, length in lengths.items() if length}

    def _shared(self, history: History) -> NDArray[np.int64]:
        """[slots]: how many positions from the start each has in common with a prompt."""
        size = min(history.length, self._tokens.shape[1])
        differs = self._tokens[:, :size] != history.tokens[:size]
        first = np.where(differs.any(axis=1), differs.argmax(axis=1), size)
        same_picture = np.array([digest == history.digest for digest in self._digests])
        return np.where(same_picture, np.minimum(first, self._lengths), 0)

    def _usable(self, shared: NDArray[np.int64], history: History) -> NDArray[np.int64]:
        """[slots]: from which position each could go on. The last one is always computed, for the logits after it."""
        if self._can_rewind:
            return np.minimum(shared, history.length - 1)
        return np.where((shared == self._lengths) & (shared < history.length), shared, 0)

    def _narrowest(self, usable: NDArray[np.int64]) -> int:
        """The free slot that makes the range of those in use longer by least; of several the one with the most of the
        prompt, then the least worth keeping."""
        free = [slot for slot in range(self.num_slots) if self._is_free[slot]]
        busy = [slot for slot in range(self.num_slots) if not self._is_free[slot]] or free
        widening = {slot: max(busy[0] - slot, slot - busy[-1], 0) for slot in free}
        return min(free, key=lambda slot: (widening[slot], -usable[slot], self._worth(slot)))

    def _worth(self, slot: int) -> tuple[bool, int, int]:
        """Larger where it would be a greater loss to overwrite what a free slot remembers."""
        return bool(self._lengths[slot]), self._used_at[slot], slot

    def _save(self, slot: int, num_kept: int, source: int) -> list[Copy]:
        """Before a free slot is overwritten from `num_kept` on: put what would be lost where less is lost."""
        length = int(self._lengths[slot])
        spare = self._spare((slot, source))
        if length - num_kept < MIN_SHARED or spare is None or self._worth(spare) > self._worth(slot):
            return []
        if self._can_rewind:
            shared = self._shared(History(self._tokens[slot, :length].copy(), self._digests[slot]))
            others = [other for other in range(self.num_slots) if other != slot]
            if any(shared[other] == length for other in others):
                return []  # another slot holds all of it
            # A slot that holds the beginning of it and nothing else is of no use beside it.
            within = [o for o in others if self._is_free[o] and o != source and 0 < shared[o] == self._lengths[o]]
            spare = within[0] if within else spare
        return [self._keep(slot, spare)]

    def _spare(self, exclude: tuple[int, ...]) -> int | None:
        """The free slot whose content would be missed least."""
        spares = [slot for slot in range(self.num_slots) if self._is_free[slot] and slot not in exclude]
        return min(spares, key=self._worth, default=None)

    def _keep(self, source: int, target: int) -> Copy:
        copy = self.copy(source, target)
        self._used_at[target] = next(self._ticks)
        return copy
