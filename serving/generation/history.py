"""History: what a prompt puts into a slot, position by position, so that equal beginnings can be found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.generation import Prompt

FEATURE = -1
"""In place of a token, where a row of features stands."""


class History(NamedTuple):
    """`tokens` INT32 [positions]; `digest` tells the features of one picture from those of another."""

    tokens: NDArray[np.int32]
    digest: bytes = b""
    num_features: int = 0

    @classmethod
    def of(cls, prompt: Prompt) -> History:
        if prompt.features is None:
            return cls(np.array(prompt.tokens, np.int32))
        num_features = len(prompt.features)
        tokens = np.array([*[FEATURE] * num_features, *prompt.tokens], np.int32)
        features = np.ascontiguousarray(prompt.features)
        return cls(tokens, hashlib.blake2b(features.data, digest_size=16).digest(), num_features)

    def followed_by(self, tokens: Sequence[int]) -> History:
        return self._replace(tokens=np.concatenate([self.tokens, np.array(tokens, np.int32)]))

    @property
    def length(self) -> int:
        return len(self.tokens)
