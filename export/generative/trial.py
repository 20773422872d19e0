"""One variant on trial: what it expects of held-out passages, beside what the trained model expects of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from export.generative.continuation import Continuation
from export.generative.passage import Passage
from export.generative.speaker import Logits
from export.parity import Parity
from tasks.task import Observation, largest_difference


class GenerativeTrial:
    """`parity` is of the logits after a prompt alone: what the golden set holds."""

    def __init__(self) -> None:
        self.parity = Parity()
        self.num_passages = 0
        self.continuations: list[Continuation] = []
        self.observations: list[dict[str, Observation]] = []
        self._bits: dict[str, float] = {"": 0.0, "trained_": 0.0}
        self._num_agreed = self._num_tokens = self._num_bytes = 0

    def compare(self, passage: Passage, trained: Logits, variant: Logits) -> None:
        """What both expect FP32 [len(answer), vocabulary] at every place of one answer."""
        self.num_passages += 1
        self._num_tokens += len(passage.answer)
        self._num_bytes += passage.num_bytes
        self._num_agreed += int((trained.argmax(axis=1) == variant.argmax(axis=1)).sum())
        for prefix, logits in (("", variant), ("trained_", trained)):
            self._bits[prefix] += surprise(logits, passage.answer)
        self.parity.add(largest_difference(trained[0], variant[0]), variant[0])

    def metrics(self) -> dict[str, float]:
        """Bits per byte do not depend on the vocabulary, perplexity is of a token; both of the trained model too."""
        found = {"decision_agreement": self._num_agreed / max(1, self._num_tokens)}
        for prefix, bits in self._bits.items():
            found[f"{prefix}bits_per_byte"] = bits / max(1, self._num_bytes)
            # Of nonsense, the exponential is beyond floats.
            found[f"{prefix}perplexity"] = math.exp(min(700.0, bits * math.log(2) / max(1, self._num_tokens)))
        return found


def surprise(logits: Logits, answer: tuple[int, ...]) -> float:
    """Bits of an answer: −log₂ of the probability of each of its tokens, summed."""
    shifted: NDArray[np.float64] = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(answer)), list(answer)]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).sum() / math.log(2))
