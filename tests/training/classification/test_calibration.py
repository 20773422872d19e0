from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.classification.calibration import fit_temperature, negative_log_likelihood


def calibrated_logits(seed: int, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the truth: targets are drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (size, 5)).astype(np.float32)
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, targets


@given(st.floats(0.2, 5.0), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_the_factor_by_which_logits_are_wrong_is_found(factor: float, seed: int) -> None:
    logits, targets = calibrated_logits(seed)
    assert fit_temperature(logits * np.float32(factor), targets) == pytest.approx(factor, rel=0.12)


@given(st.integers(0, 2**32), st.floats(0.1, 10.0))
@settings(max_examples=20, deadline=None)
def test_no_other_temperature_makes_the_targets_more_probable(seed: int, other: float) -> None:
    logits, targets = calibrated_logits(seed, 300)
    best = negative_log_likelihood(logits, targets, fit_temperature(logits, targets))
    assert best <= negative_log_likelihood(logits, targets, other) + 1e-9


def test_a_faultless_model_gets_a_finite_temperature() -> None:
    targets = np.arange(100) % 3
    temperature = fit_temperature(np.eye(3, dtype=np.float32)[targets] * 50, targets)
    assert 0 < temperature < 100
