from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.generation.penalties import Penalties
from tasks.generation_params import GenerationParams

TOKENS = st.lists(st.integers(0, 99), max_size=150)


@given(TOKENS, TOKENS, st.floats(0.2, 5), st.floats(-2, 2), st.floats(-2, 2))
def test_each_token_is_penalised_for_what_it_has_done(
    prompt: list[int], answer: list[int], repetition: float, presence: float, frequency: float
) -> None:
    params = GenerationParams(repetition_penalty=repetition, presence_penalty=presence, frequency_penalty=frequency)
    logits = np.random.default_rng(0).normal(0, 3, 100).astype(np.float32)
    expected = logits.astype(np.float64)
    counts = Counter(answer)
    for token in range(100):
        if token in prompt or token in counts:
            expected[token] = expected[token] / repetition if expected[token] > 0 else expected[token] * repetition
        expected[token] -= presence * (token in counts) + frequency * counts[token]
    penalties = Penalties(params, tuple(prompt))
    for token in answer:
        penalties.advance(token)
    copied = penalties.fork()
    copied.advance(5)
    penalties.apply(logits)
    assert logits == pytest.approx(expected, abs=1e-3)


def test_nothing_is_asked_for_by_default() -> None:
    assert not Penalties.are_asked_for(GenerationParams())
    assert Penalties.are_asked_for(GenerationParams(frequency_penalty=0.1))
