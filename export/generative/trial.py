"""One variant on trial: what it expects of held-out passages, beside what the trained model expects of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from export.generative.continuation import Continuation
from export.generative.next_tokens import TOKEN_CLASSES, NextTokens, class_tokens
from export.generative.passage import Passage
from export.generative.speaker import Logits
from export.judge_classification import calibration_error, class_evidence
from export.parity import Parity
from registry.manifest import ClassEvidence
from tasks.task import Observation, largest_difference


class GenerativeTrial:
    """`parity` is of the logits after a prompt alone: what the golden set holds."""

    def __init__(self) -> None:
        self.parity = Parity()
        self.passages: list[Passage] = []
        self.continuations: list[Continuation] = []
        self.observations: list[dict[str, Observation]] = []
        self.trained, self.variant = NextTokens(), NextTokens()
        self._num_agreed = 0

    def compare(self, passage: Passage, trained: Logits, variant: Logits) -> None:
        """What both expect FP32 [len(answer), vocabulary] at every place of one answer."""
        self.passages.append(passage)
        self._num_agreed += int((trained.argmax(axis=1) == variant.argmax(axis=1)).sum())
        self.trained.add(trained, passage.answer)
        self.variant.add(variant, passage.answer)
        self.parity.add(largest_difference(trained[0], variant[0]), variant[0])

    def metrics(self) -> dict[str, float]:
        """Bits per byte do not depend on the vocabulary, perplexity is of a token; both of the trained model too, like
        the calibration error of the next token."""
        num_tokens = max(1, sum(len(passage.answer) for passage in self.passages))
        num_bytes = max(1, sum(passage.num_bytes for passage in self.passages))
        found = {"decision_agreement": self._num_agreed / num_tokens}
        for prefix, tokens in (("", self.variant), ("trained_", self.trained)):
            bits = sum(tokens.bits)
            found[f"{prefix}bits_per_byte"] = bits / num_bytes
            # Of nonsense, the exponential is beyond floats.
            found[f"{prefix}perplexity"] = math.exp(min(700.0, bits * math.log(2) / num_tokens))
            found[f"{prefix}expected_calibration_error"] = calibration_error(tokens.right, tokens.confidence)
        return found

    def score(self, places: Sequence[int]) -> float:
        """Bits per byte of the variant on some of the passages, by the order in which they were compared; not a number
        where these can not tell it."""
        num_bytes = sum(self.passages[place].num_bytes for place in places)
        return sum(self.variant.bits[place] for place in places) / num_bytes if num_bytes else math.nan

    def per_class(self) -> tuple[ClassEvidence, ...]:
        """Share of right tokens, from the commonest tokens to the rarest. The intervals take tokens as independent,
        which those of one passage are not quite."""
        classes = class_tokens(np.array([token for passage in self.passages for token in passage.answer], np.int64))
        trained, variant = self.trained.right, self.variant.right
        return tuple(
            class_evidence(label, trained[classes == index], variant[classes == index])
            for index, label in enumerate(TOKEN_CLASSES)
        )
