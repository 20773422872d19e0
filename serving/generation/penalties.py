"""Penalties: how often each token has come, and what that takes from its logit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.generation_params import GenerationParams


class Penalties:
    """Repetition (Keskar et al., 2019) looks at prompt and answer, presence and frequency at the answer alone."""

    def __init__(self, params: GenerationParams, prompt: tuple[int, ...]) -> None:
        self._repetition = np.float32(params.repetition_penalty)
        self._presence, self._frequency = params.presence_penalty, params.frequency_penalty
        seen = dict.fromkeys(prompt) if params.repetition_penalty != 1 else {}
        self._places = {token: place for place, token in enumerate(seen)}
        self._tokens = np.array([*seen, *[0] * SPARE], np.intp)
        self._counts = np.zeros(len(self._tokens), np.float32)

    @staticmethod
    def are_asked_for(params: GenerationParams) -> bool:
        return params.repetition_penalty != 1 or params.presence_penalty != 0 or params.frequency_penalty != 0

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Changes [vocabulary] in place."""
        size = len(self._places)
        tokens, counts = self._tokens[:size], self._counts[:size]
        values = logits[tokens]
        if self._repetition != 1:
            values = np.where(values > 0, values / self._repetition, values * self._repetition)
        logits[tokens] = values - self._presence * (counts > 0) - self._frequency * counts

    def advance(self, token: int) -> None:
        """The answer goes on with this token."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._tokens[place] = token
        self._counts[place] += 1

    def fork(self) -> Penalties:
        """A copy that goes its own way, as beams do."""
        copied = object.__new__(Penalties)
        copied._repetition, copied._presence, copied._frequency = self._repetition, self._presence, self._frequency
        copied._places, copied._tokens, copied._counts = dict(self._places), self._tokens.copy(), self._counts.copy()
        return copied


SPARE = 64
"""Room for tokens that are new in the answer; it doubles when it is used up."""
