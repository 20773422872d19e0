"""The Speaker protocol: a model, trained or exported, that says what it expects at every place of a passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.generation import Encoded, GenerativeTask, Prompt
from tasks.task import Array
from tasks.text import decode_text

Logits = NDArray[np.float32]


class Speaker(Protocol):
    """What an export compares."""

    def encode(self, tensors: dict[str, Array]) -> dict[str, Array]:
        """The encoder's inputs of one picture → its outputs, both without batch axis."""
        ...

    def expect(self, prompt: Prompt, answer: Sequence[int]) -> Logits:
        """FP32 [len(answer), vocabulary]: what it expects before each token of the answer."""
        ...


def open_prompt(task: GenerativeTask, payload: bytes, speaker: Speaker) -> tuple[Prompt, Encoded | None]:
    """A payload as a client would send it → the prompt that this model makes of it, and the picture that it came
    from."""
    if task.encoder is None:
        return task.prompt(decode_text(payload)), None
    sample = task.encoder.sample_from_bytes(payload)
    tensors = task.encoder.preprocess(sample)
    encoded = Encoded(sample, tensors, speaker.encode(tensors))
    return task.prompt_of(encoded), encoded
