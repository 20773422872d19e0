"""Captions as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.captioning import CaptioningSpec
from tasks.errors import InvalidRecipe
from tasks.image import Placement
from tasks.text import Tokenizer
from training.data.annotation import Annotation
from training.data.source import Target

PADDING = -1
"""Behind a caption, and where a picture has fewer captions than another."""


class CaptionTargets:
    """All captions of a picture → tokens INT64 [B, captions, length], each followed by the end token and PADDING."""

    def __init__(self, tokenizer: Tokenizer, digest: str, spec: CaptioningSpec) -> None:
        """`digest`: that of the tokenizer's file."""
        self._tokenizer = tokenizer
        self._end_token = spec.end_tokens[0]
        self._room = spec.context - spec.positions - 1
        self.version = f"captions-1-{self._end_token}-{self._room}-{digest}"

    def encode(self, target: Target, placement: Placement) -> NDArray[np.int32]:
        """Rows [n, 2]: which of the captions, and a token of it. Raises InvalidRecipe for one that is too long."""
        assert isinstance(target, Annotation)
        captions = [self._tokenizer.encode(caption) for caption in target.captions]
        if beyond := max(0, *(len(tokens) - self._room for tokens in captions)):
            raise InvalidRecipe(
                f"a caption has {self._room + beyond} tokens and text.context room for {self._room}, beside the "
                f"positions of the picture: raise text.context by {beyond} at least"
            )
        rows = [(index, token) for index, tokens in enumerate(captions) for token in (*tokens, self._end_token)]
        return np.array(rows, np.int32).reshape(-1, 2)

    def collate(self, encoded: Sequence[NDArray[np.int32]]) -> tuple[Tensor, ...]:
        counts = [np.bincount(rows[:, 0]) for rows in encoded]
        longest = max(int(count.max(initial=0)) for count in counts)
        captions = np.full((len(encoded), max(map(len, counts)), longest), PADDING, np.int64)
        for index, (rows, lengths) in enumerate(zip(encoded, counts, strict=True)):
            for caption, tokens in enumerate(np.split(rows[:, 1], np.cumsum(lengths)[:-1])):
                captions[index, caption, : len(tokens)] = tokens
        return (torch.from_numpy(captions),)


def shift_right(captions: Tensor, begin_token: int) -> Tensor:
    """Captions INT64 [N, length] → what stands before each of their tokens; what is behind the end is nothing."""
    begin = captions.new_full((len(captions), 1), begin_token)
    return torch.cat((begin, captions[:, :-1].clamp_min(0)), dim=1)
