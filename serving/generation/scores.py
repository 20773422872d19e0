"""Scores: the logits of one run of the decoder, and what every row needs of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.generation.decoder import Logits
from tasks.errors import NotReady
from tasks.generation import TokenScore


class Scores:
    """FP32 [rows, vocabulary] → the best token of each row, and the logarithm of the sum that turns a logit into a
    log-probability, for all rows at once. No row's numbers depend on the others."""

    def __init__(self, logits: Logits) -> None:
        self.logits = logits
        self.best: NDArray[np.intp] = logits.argmax(axis=1)
        peaks = logits[np.arange(len(logits)), self.best]
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            # An infinity or a NaN anywhere in a row ends in a sum that is not finite.
            weights = logits - peaks[:, None]
            np.exp(weights, out=weights)  # a second array of this size would cost five times as long in page faults
            self.log_sums: NDArray[np.float32] = peaks + np.log(weights.sum(axis=1))

    def check(self, row: int) -> None:
        """Raises NotReady where the model did not answer with numbers."""
        if not np.isfinite(self.log_sums[row]):
            raise NotReady(
                "the model's logits are not finite, so nothing can be chosen by them; its weights or its precision do"
                " not fit this input"
            )

    def logprob(self, row: int, token: int) -> float:
        """Natural logarithm of the probability that the model gives a token, before anything changes its logits."""
        return float(self.logits[row, token] - self.log_sums[row])

    def top(self, row: int, count: int) -> tuple[TokenScore, ...]:
        """The `count` most probable tokens, best first; of equal ones the lower id."""
        if count == 0:
            return ()
        logits = self.logits[row]
        tokens = best_tokens(logits, count)
        order = np.argsort(-logits[tokens], kind="stable")
        return tuple(TokenScore(int(token), self.logprob(row, int(token))) for token in tokens[order])


SPREAD = 7.0
"""Tokens that have e⁻⁷ of the best one's probability are few, and mostly all that matter: they are looked at first."""


def best_tokens(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Indices of the `count` largest of [n] logits, in rising order; of equal ones those that come first."""
    if count >= len(logits):
        return np.arange(len(logits))
    leading = np.flatnonzero(logits > logits.max() - SPREAD)
    if len(leading) < count:
        leading = np.arange(len(logits))
    values = logits[leading]
    threshold = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > threshold)
    ties = np.flatnonzero(values == threshold)[: count - len(above)]
    best: NDArray[np.intp] = leading[np.sort(np.concatenate([above, ties]))]
    return best


def log_sum(logits: NDArray[np.float32]) -> np.float32:
    """Logarithm of the sum of exponentials of [vocabulary]."""
    peak = logits.max()
    return np.float32(peak + np.log(np.exp(logits - peak).sum()))
