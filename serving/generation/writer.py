"""The Writer protocol: what turns the logits after a prompt into an answer, in one slot or in several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from serving.generation.request import Delta
from serving.generation.scores import Scores


class Feed(NamedTuple):
    """A token for one of the writer's slots. `place`: which of them, counted from 0."""

    place: int
    token: int


class Turn(NamedTuple):
    """What a writer made of a step. Without `feeds` it has finished."""

    deltas: Sequence[Delta]
    feeds: Sequence[Feed]
    copies: Sequence[tuple[int, int]] = ()
    """(from place, to place): states to be copied before anything is fed."""


class Writer(Protocol):
    """The work of one sequence after its prompt. Used by one thread."""

    def begin(self, scores: Scores) -> Turn:
        """The logits after the prompt, the only row; its state lies in place 0 alone."""
        ...

    def advance(self, scores: Scores, first_row: int) -> Turn:
        """The logits after each of the last feeds, in their order."""
        ...
