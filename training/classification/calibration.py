"""Temperature scaling (Guo et al., 2017): one number that makes a classifier's probabilities mean what they say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
GOLDEN = (math.sqrt(5) - 1) / 2
STEPS = 60


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The divisor of logits [N, C] under which the targets [N] are most probable.

    The loss is convex in 1/temperature, hence has one minimum over log temperature: a golden-section search finds it.
    """
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if negative_log_likelihood(logits, targets, math.exp(left)) < negative_log_likelihood(
            logits, targets, math.exp(right)
        ):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def negative_log_likelihood(logits: NDArray[np.float32], targets: NDArray[np.int64], temperature: float) -> float:
    """Mean over examples, in nats."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_total - scaled[np.arange(len(targets)), targets]))
