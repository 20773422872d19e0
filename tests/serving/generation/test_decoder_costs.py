from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serving.generation.decoder import Logits, Step
from serving.generation.decoder_costs import measure_costs
from tasks.task import Array


class CountingDecoder:
    """Answers nothing of interest and remembers what was run."""

    num_slots, context, vocabulary, can_rewind = 6, 33, 5, True

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.steps: list[list[int]] = []

    def prefill(
        self, slot: int, tokens: Sequence[int], num_cached: int, features: Array | None = None, want_logits: bool = True
    ) -> Logits | None:
        self.pieces.append(len(tokens))
        return np.zeros(5, np.float32)

    def decode(self, steps: Sequence[Step], held: Mapping[int, int]) -> Logits:
        self.steps.append([step.slot for step in steps])
        return np.zeros((len(steps), 5), np.float32)

    def copy(self, source: int, target: int) -> None: ...

    def close(self) -> None: ...


def test_steps_of_doubling_size_and_of_all_slots_are_run() -> None:
    decoder = CountingDecoder()
    costs = measure_costs(decoder)
    assert set(costs.step_s) == {1, 2, 4, 6}
    assert {tuple(slots) for slots in decoder.steps} == {(0,), (0, 1), (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)}
    assert all(seconds > 0 for seconds in costs.step_s.values())
    assert costs.prompt_token_s > 0


def test_the_prompt_that_is_timed_fits_into_the_context() -> None:
    decoder = CountingDecoder()
    measure_costs(decoder)
    assert set(decoder.pieces) == {32}
