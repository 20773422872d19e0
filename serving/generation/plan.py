"""What the scheduler and the decoder tell each other: the plan of a step, what came of it, what it means for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from serving.generation.decoder import Logits, Step
from serving.generation.request import Delta
from serving.generation.sequence import Sequence
from serving.generation.slot_pool import Copy
from tasks.errors import TidegateError
from tasks.task import Array


class Piece(NamedTuple):
    """Positions `start` … `stop` of a sequence's history, to be taken into the first slot of its sequence."""

    sequence: Sequence
    start: int
    stop: int

    @property
    def is_last(self) -> bool:
        """Whether logits are wanted after it."""
        return self.stop == self.sequence.history.length

    @property
    def tokens(self) -> tuple[int, ...]:
        """Those of its positions that are no features."""
        history = self.sequence.history
        return tuple(history.tokens[max(self.start, history.num_features) : self.stop].tolist())

    @property
    def features(self) -> Array | None:
        """They come with the first piece."""
        return self.sequence.prompt.features if self.start == 0 else None


@dataclass(frozen=True, slots=True)
class Plan:
    """One step, in the order in which it is run: copies, a decoding run, pieces of prompts."""

    copies: list[Copy]
    batch: list[Sequence]
    steps: list[Step]
    """Of all sequences of the batch: the feeds of the first, then of the second, …"""
    held: dict[int, int]
    pieces: list[Piece]


@dataclass(slots=True)
class Ran:
    """What came of a plan. An error in place of logits is that of the run."""

    logits: Logits | TidegateError | None = None
    decode_s: float = 0.0
    pieces: list[Logits | TidegateError | None] = field(default_factory=list)
    prefill_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Progress:
    """What a step brought for those who wait on the event loop."""

    begun: list[Sequence] = field(default_factory=list)
    """Sequences that are in their slots, what was found of their prompts counted."""
    deltas: list[tuple[Sequence, Delta]] = field(default_factory=list)
    failures: list[tuple[Sequence, TidegateError]] = field(default_factory=list)
    num_rows: int = 0
    ran: Ran = field(default_factory=Ran)
    at: float = 0.0
    """When it was over, on the clock of `time.monotonic`."""
