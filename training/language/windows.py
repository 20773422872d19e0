"""Windows of tokens: what a language model learns from, and what it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tasks.errors import InvalidRecipe
from training.data.batches import Batch, BatchDataset
from training.language.token_stream import TokenStream

UNCOUNTED = -100
"""In targets: nobody is judged by this place. The number that torch's cross-entropy leaves out."""


class LearningWindows(BatchDataset):
    """The whole stream in windows, one after the other, whatever texts begin or end inside: nothing is padding, and no
    token is predicted twice in an epoch. The end of the stream goes on at its beginning, and every epoch cuts it at
    other places. A batch is inputs and targets, int64 [B, context] both."""

    def __init__(self, stream: TokenStream, context: int) -> None:
        """Raises InvalidRecipe where the texts do not fill a single window."""
        # The end of text at the end of the stream is that at its beginning.
        self._ring = stream.tokens[:-1]
        self._context = context
        self._shift = 0
        if len(self) == 0:
            raise InvalidRecipe(
                f"text.context: a window of {context} tokens is longer than all training texts together, which have "
                f"{len(self._ring)}: give more texts or a smaller context"
            )

    def __len__(self) -> int:
        return len(self._ring) // self._context

    def begin_epoch(self, epoch: int) -> None:
        self._shift = int(np.random.default_rng(epoch).integers(len(self._ring)))

    def __getitems__(self, indices: list[int]) -> Batch:
        starts = self._shift + np.array(indices)[:, None] * self._context
        places = (starts + np.arange(self._context + 1)) % len(self._ring)
        rows = torch.from_numpy(self._ring[places].astype(np.int64))
        return rows[:, :-1], rows[:, 1:]


@dataclass(frozen=True, slots=True)
class Place:
    """Part of a text: its inputs begin `start` tokens into the stream, its targets end at `end`; those from `counted`
    on count. `num_bytes` of the text count with its first part."""

    start: int
    counted: int
    end: int
    num_bytes: int


class JudgingWindows(BatchDataset):
    """Every text by itself. Each of its tokens, and the end of text after them, is a target that counts exactly once,
    and so do its bytes.

    The first token is conditioned on nothing but the end-of-text token before it, as a request's first token is; no
    text sees another one. In a text longer than the context every window begins half a context after the one before it
    and counts what that has not counted: from there on at least half a context of the same text is known.

    A batch is inputs int64 [B, L], targets int64 [B, L] with UNCOUNTED where nothing counts, and bytes int64 [B]. L is
    that of the longest in the batch; what is shorter is padded on the right, where causal networks do not look back
    from. Long windows come first.
    """

    def __init__(self, stream: TokenStream, context: int, max_bytes: int = 0) -> None:
        """`max_bytes`: judge by no more than some texts, drawn evenly, that have this many bytes; 0 takes all."""
        self._tokens = stream.tokens
        texts = range(len(stream.num_bytes))
        if max_bytes:
            order = np.random.default_rng(0).permutation(len(texts))
            before = np.cumsum(stream.num_bytes[order]) - stream.num_bytes[order]
            texts = order[before < max_bytes].tolist()
        places = [place for text in texts for place in cut_text(stream, text, context)]
        self._places = sorted(places, key=lambda place: place.start - place.end)

    def __len__(self) -> int:
        return len(self._places)

    def __getitems__(self, indices: list[int]) -> Batch:
        places = [self._places[index] for index in indices]
        length = max(place.end - place.start for place in places)
        inputs = torch.zeros(len(places), length, dtype=torch.long)
        targets = torch.full((len(places), length), UNCOUNTED, dtype=torch.long)
        for row, place in enumerate(places):
            tokens = torch.from_numpy(self._tokens[place.start : place.end + 1].astype(np.int64))
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            targets[row, place.counted - place.start : len(tokens) - 1] = tokens[place.counted - place.start + 1 :]
        return inputs, targets, torch.tensor([place.num_bytes for place in places])


def cut_text(stream: TokenStream, text: int, context: int) -> list[Place]:
    """The windows of one text."""
    first, last = int(stream.starts[text]), int(stream.starts[text + 1])
    places: list[Place] = []
    start = counted = first
    while counted < last:
        end = min(start + context, last)
        places.append(Place(start, counted, end, 0 if places else int(stream.num_bytes[text])))
        start, counted = start + max(1, context // 2), end
    return places
