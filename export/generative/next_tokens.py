"""What one model expected of held-out answers, token by token: how surprised it was, how sure, and how often right.

Models that generate have no classes that data would name. What compression forgets first is what is rare (Hooker et
al., 2019), so tokens are classed by how common they are: each class is about a fifth of the held-out text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.generative.speaker import Logits

TOKEN_CLASSES = ("commonest tokens", "common tokens", "middling tokens", "rare tokens", "rarest tokens")


class NextTokens:
    """All answers of one model, in the order in which they were added."""

    def __init__(self) -> None:
        self.bits: list[float] = []
        """Of each answer: −log₂ of the probability of each of its tokens, summed."""
        self._right: list[NDArray[np.bool_]] = []
        self._confidence: list[NDArray[np.float64]] = []

    def add(self, logits: Logits, answer: Sequence[int]) -> None:
        """FP32 [len(answer), vocabulary]: what it expected before each token of the answer."""
        shifted: NDArray[np.float64] = logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        scale = np.log(np.exp(shifted).sum(axis=1))
        chosen = shifted[np.arange(len(answer)), list(answer)]
        self.bits.append(float((scale - chosen).sum() / math.log(2)))
        self._right.append(logits.argmax(axis=1) == np.array(answer))
        self._confidence.append(np.exp(-scale))

    @property
    def right(self) -> NDArray[np.bool_]:
        """[tokens]: whether its best token was the one that followed."""
        return np.concatenate(self._right)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """[tokens]: the probability of its best token."""
        return np.concatenate(self._confidence)


def class_tokens(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of a text [n] → the class of each [n], an index into TOKEN_CLASSES. A token that is more than a fifth of
    the text leaves the classes after the first with less."""
    values, places, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[by_count]) - counts[by_count]
    classes = np.empty(len(values), np.int64)
    classes[by_count] = before * len(TOKEN_CLASSES) // max(1, len(tokens))
    found: NDArray[np.int64] = classes[places]
    return found
