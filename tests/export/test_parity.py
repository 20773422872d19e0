"""Differences accumulated in pieces are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.parity import Parity


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 9))
def test_pieces_add_up(seed: int, num_examples: int, piece: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.normal(1e4, 2, (num_examples, 3)).astype(np.float32)
    variant = reference + rng.normal(0, 0.1, reference.shape).astype(np.float32)
    parity = Parity()
    for start in range(0, num_examples, piece):
        parity.add(reference[start : start + piece], variant[start : start + piece])
    difference = np.abs(reference.astype(np.float64) - variant.astype(np.float64))
    assert parity.max_abs == difference.max()
    assert parity.mean_abs == pytest.approx(difference.mean())
    assert parity.spread == pytest.approx(np.sqrt(reference.astype(np.float64).var(axis=0).mean()), abs=1e-6)


def test_model_that_answers_everything_alike_proves_nothing() -> None:
    parity = Parity()
    parity.add(np.full((4, 2), 1e-6), np.full((4, 2), 2e-6))
    assert parity.relative == float("inf")


def test_not_a_number_is_infinitely_far() -> None:
    parity = Parity()
    parity.add(np.array([[0.0], [1.0]]), np.array([[np.nan], [1.0]]))
    assert parity.max_abs == float("inf")
