"""Occupants: who has slots, and for what. They are the scheduler's to seat, and give their slots back here."""

from __future__ import annotations

from serving.generation.sequence import Sequence
from serving.generation.slot_pool import SlotPool


class Occupants:
    """Of the slots of one pool; only lists, in which the scheduler writes."""

    def __init__(self, pool: SlotPool) -> None:
        self._pool = pool
        self.filling: list[Sequence] = []
        """Whose prompts are being taken in, in order of arrival."""
        self.running: list[Sequence] = []
        self.short: Sequence | None = None
        """The search that has taken a slot for its prompt and needs more for its beams: it gets the next ones."""

    @property
    def is_empty(self) -> bool:
        return not self.filling and not self.running

    @property
    def active(self) -> list[Sequence]:
        """All that have a slot and are not finished."""
        followers = [follower for sequence in self.filling for follower in sequence.followers]
        return self.filling + followers + self.running

    def release(self, sequence: Sequence) -> None:
        """Finished, failed or left: its slots are free, and so are those of answers that wait for its prompt."""
        for released in (sequence, *sequence.followers):
            self._pool.release(released.slots)
            released.slots = []
        sequence.followers = []
        for sequences in (self.filling, self.running):
            if sequence in sequences:
                sequences.remove(sequence)
        if self.short is sequence:
            self.short = None
