"""The Decoder protocol: a runtime with a state for each slot, and all that the generator knows about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.task import Array

Logits = NDArray[np.float32]


class Step(NamedTuple):
    """One new token of one slot. `num_cached`: tokens (and features) that the slot's state holds before it."""

    slot: int
    token: int
    num_cached: int


class Decoder(Protocol):
    """Blocks while it computes. Used by one thread at a time; `close` after the last use."""

    @property
    def num_slots(self) -> int: ...

    @property
    def context(self) -> int:
        """Positions of a slot."""
        ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def can_rewind(self) -> bool:
        """Whether a slot may go on from any earlier length of itself: a key-value cache can, a recurrent state not."""
        ...

    def prefill(
        self, slot: int, tokens: Sequence[int], num_cached: int, features: Array | None = None, want_logits: bool = True
    ) -> Logits | None:
        """Takes a piece of a prompt into a slot. `features` FP32 [positions, width] stand before `tokens`.

        `num_cached` 0 starts anew, whatever the slot held. Answers FP32 [vocabulary] after the last token,
        if wanted."""
        ...

    def decode(self, steps: Sequence[Step], held: Mapping[int, int]) -> Logits:
        """One token further in each of some slots, in one run → FP32 [steps, vocabulary] in their order.

        `held`: every other slot whose state must outlive the run → positions that it holds."""
        ...

    def copy(self, source: int, target: int) -> None:
        """The whole state of one slot over that of another."""
        ...

    def close(self) -> None: ...
