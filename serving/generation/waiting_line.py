"""WaitingLine: the bounded queue between the event loop, which appends, and the generator's thread, which takes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import count

from serving.generation.sequence import Sequence


class WaitingLine:
    """Sequences in order of arrival. Every operation takes the same time however many wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._singles: OrderedDict[Sequence, None] = OrderedDict()
        self._searches: OrderedDict[Sequence, None] = OrderedDict()
        """Those that need several slots at once."""
        self._arrivals = count()
        self.num_slots = 0
        """How many slots all that wait will take."""
        self.is_closed = False

    def append(self, sequences: Iterable[Sequence]) -> None:
        with self._changed:
            for sequence in sequences:
                sequence.arrival = next(self._arrivals)
                self._kind(sequence)[sequence] = None
                self.num_slots += sequence.num_slots
            self._changed.notify()

    def put_back(self, single: Sequence) -> None:
        """One that was taken, and came before all singles that are still here."""
        with self._changed:
            self._singles[single] = None
            self._singles.move_to_end(single, last=False)
            self.num_slots += 1

    def remove(self, sequences: Iterable[Sequence]) -> int:
        """Take out those that are still there: how many."""
        with self._changed:
            found = [sequence for sequence in sequences if sequence in self._kind(sequence)]
            for sequence in found:
                del self._kind(sequence)[sequence]
                self.num_slots -= sequence.num_slots
            return len(found)

    def pop_single(self) -> Sequence | None:
        """The one that has waited longest of those that need one slot."""
        with self._changed:
            if not self._singles:
                return None
            self.num_slots -= 1
            return self._singles.popitem(last=False)[0]

    def first_search(self) -> Sequence | None:
        """The one that has waited longest of all, if it needs several slots. It stays."""
        with self._changed:
            search, single = next(iter(self._searches), None), next(iter(self._singles), None)
            return search if search and (single is None or search.arrival < single.arrival) else None

    def _kind(self, sequence: Sequence) -> OrderedDict[Sequence, None]:
        return self._singles if sequence.num_slots == 1 else self._searches

    def wait(self) -> bool:
        """Until something waits: True. False once the line is closed and empty."""
        with self._changed:
            while not self.num_slots and not self.is_closed:
                self._changed.wait()
            return bool(self.num_slots)

    def close(self) -> None:
        """Whoever waits for more waits no longer."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()
