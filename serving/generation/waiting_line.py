"""WaitingLine: the bounded queue between the event loop, which appends, and the generator's thread, which takes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from serving.generation.sequence import Sequence


class WaitingLine:
    """Sequences in order of arrival. Every operation takes the same time however many wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._sequences: OrderedDict[Sequence, None] = OrderedDict()
        self.num_slots = 0
        """How many slots all that wait will take."""
        self.is_closed = False

    def append(self, sequences: Iterable[Sequence]) -> None:
        with self._changed:
            for sequence in sequences:
                self._sequences[sequence] = None
                self.num_slots += sequence.num_slots
            self._changed.notify()

    def remove(self, sequences: Iterable[Sequence]) -> int:
        """Take out those that are still there: how many."""
        with self._changed:
            found = [sequence for sequence in sequences if sequence in self._sequences]
            for sequence in found:
                del self._sequences[sequence]
                self.num_slots -= sequence.num_slots
            return len(found)

    def pop(self) -> Sequence | None:
        """The one that has waited longest."""
        with self._changed:
            if not self._sequences:
                return None
            sequence, _ = self._sequences.popitem(last=False)
            self.num_slots -= sequence.num_slots
            return sequence

    def wait(self) -> bool:
        """Until something waits: True. False once the line is closed and empty."""
        with self._changed:
            while not self._sequences and not self.is_closed:
                self._changed.wait()
            return bool(self._sequences)

    def close(self) -> None:
        """Whoever waits for more waits no longer."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()
