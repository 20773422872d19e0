"""What is kept of an answered request so that another version can be asked the same: the question, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tasks.generation import Generated, Prompt
from tasks.generation_params import GenerationParams
from tasks.task import Array, Params, Sample


@dataclass(frozen=True, slots=True)
class PictureCopy:
    """An encoded picture, and what the graph made of it, without batch axis. `seconds`: from decoding to the answer."""

    payload: bytes
    params: Params
    sample: Sample
    outputs: Mapping[str, Array]
    seconds: float

    @property
    def num_items(self) -> int:
        return 1

    @property
    def num_bytes(self) -> int:
        return len(self.payload) + self.sample.image.nbytes + bytes_of(self.outputs)


@dataclass(frozen=True, slots=True)
class TensorCopy:
    """The graph's own inputs and outputs, [n, …] each."""

    tensors: Mapping[str, Array]
    outputs: Mapping[str, Array]
    seconds: float

    @property
    def num_items(self) -> int:
        return len(next(iter(self.tensors.values())))

    @property
    def num_bytes(self) -> int:
        return bytes_of(self.tensors) + bytes_of(self.outputs)


@dataclass(frozen=True, slots=True)
class PromptCopy:
    """A prompt and its best answer. `payload`: the encoded picture that the prompt was made of, or nothing."""

    prompt: Prompt
    params: GenerationParams
    payload: bytes
    answer: Generated
    seconds: float

    @property
    def num_items(self) -> int:
        return 1

    @property
    def num_bytes(self) -> int:
        return len(self.payload) + 8 * (len(self.prompt.tokens) + len(self.answer.tokens))


Copy = PictureCopy | TensorCopy | PromptCopy
Tap = Callable[[Copy], None]
"""Takes what a model has answered. Called on the event loop, never waits."""


def bytes_of(tensors: Mapping[str, Array]) -> int:
    return sum(kept_bytes(array) for array in tensors.values())


def kept_bytes(array: Array) -> int:
    """What it keeps in memory: a row of a batch keeps the whole batch, a tensor of a body that body."""
    base = array.base
    if isinstance(base, np.ndarray | memoryview):
        return base.nbytes
    return len(base) if isinstance(base, bytes) else array.nbytes
