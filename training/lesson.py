"""What learning is made of, whatever the task: a lesson, and what a network answers to it.

They stand apart from the learner's own network so that another one can answer the very same lesson: a teacher, say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from training.data.batches import Batch


class Lesson(NamedTuple):
    """A batch as it is learnt from, after augmentation. What its tensors are depends on the task."""

    inputs: Batch
    """What the network gets to see."""
    targets: Batch
    """What it is to answer."""


@dataclass(frozen=True)
class Answer:
    """What a network makes of a lesson, before anything is decided."""

    logits: Tensor
    """FP32 [N, …, classes] at every place that is asked about."""
    features: tuple[Tensor, ...]
    """FP [N, …, channels] each: what was seen in pictures, finest first; none of a network that sees none."""
