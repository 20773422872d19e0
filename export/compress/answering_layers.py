"""The layers that give a network's answers: classes, sides of boxes. Found by how the answers were computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from export.compress.picture_channels import EMBEDDING, guarded_outputs
from tasks.image import ImageSpec
from training.networks.captioner import Captioner
from training.networks.network import Network

MAPS = (EMBEDDING, "crops")
"""Of what a network shows, those that are maps to others, and no answers."""


def answering_weights(network: Network, image: ImageSpec) -> set[int]:
    """`id` of the weight of each last layer. A captioner's answers are words, and its decoder's own."""
    if isinstance(network, Captioner):
        return set()
    with torch.enable_grad():
        shown = guarded_outputs(network, torch.zeros(1, image.height, image.width, 3))
    waiting = [answer.grad_fn for name, answer in shown if name not in MAPS and answer.grad_fn is not None]
    found: set[int] = set()
    seen: set[Any] = set()
    while waiting:
        step = waiting.pop()
        if step in seen:
            continue
        seen.add(step)
        if own := set(weights_of(step)):
            found |= own
        else:
            waiting += inputs_of(step)
    return found


def weights_of(step: Any) -> Iterator[int]:
    """`id` of every matrix that a step multiplies by, none of its biases. A linear layer reads its weight turned."""
    for before in inputs_of(step):
        source = next(iter(inputs_of(before)), before) if before.name().startswith("TBackward") else before
        if getattr(source, "variable", None) is not None and source.variable.ndim > 1:
            yield id(source.variable)


def inputs_of(step: Any) -> list[Any]:
    """The steps that computed what a step reads."""
    return [before for before, _ in step.next_functions if before is not None]
