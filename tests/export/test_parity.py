"""Differences accumulated item by item are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.parity import Parity


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_items_add_up(seed: int, num_items: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.normal(1e4, 2, (num_items, 3)).astype(np.float32)
    differences = rng.exponential(0.1, num_items)
    parity = Parity()
    for difference, output in zip(differences, outputs, strict=True):
        parity.add(float(difference), output)
    assert parity.max == differences.max()
    assert parity.mean == pytest.approx(differences.mean())
    assert parity.spread == pytest.approx(np.sqrt(outputs.astype(np.float64).var(axis=0).mean()), abs=1e-6)


def test_model_that_answers_everything_alike_proves_nothing() -> None:
    parity = Parity()
    for _ in range(4):
        parity.add(1e-6, np.full(2, 1e-6))
    assert parity.relative == float("inf")


def test_indices_differ_by_shares_and_their_spread_is_one() -> None:
    parity = Parity()
    parity.add(0.25, np.array([3, 200], np.uint8))
    parity.add(0.5, np.array([7, 0], np.uint8))
    assert (parity.spread, parity.relative) == (1.0, 0.5)
