"""Semi-structured pruning, 2:4: of every four neighbouring weights two are zero, which is what sparse tensor cores of
GPUs skip.

Mishra et al., "Accelerating sparse deep neural networks" (2021): the two largest of four stay, and the network learns
on with them. The four lie along the input: for a convolution those of four input channels at one place of the kernel,
as TensorRT asks for. Of no use on a processor, where the zeros are multiplied like all other numbers.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from export.compress.learning import FineTuning, Learning
from export.compress.masks import KeptZeros, Masks, prunable_weights
from export.compress.technique import Form, NetworkTechnique
from tasks.errors import InvalidRecipe
from training.networks.network import Trainable
from training.recipe import TaskName

GROUP, KEPT = 4, 2


class SemiStructuredPruning(NetworkTechnique, frozen=True, kw_only=True, tag="semi_structured_pruning"):
    """Every layer whose inputs come in fours, all of them at once, then fine-tuning."""

    makes: ClassVar[Form | None] = "zeros in fours"
    undoes: ClassVar[frozenset[Form]] = frozenset({"shared values", "rounded weights"})
    needs_gpu: ClassVar[bool] = True
    fine_tuning: FineTuning = FineTuning()

    def find_obstacle(self, task: TaskName) -> str:
        if task not in ("captioning", "text_generation"):
            return ""
        return (
            "its decoder runs in ONNX Runtime, which multiplies by zeros like by any number, because TensorRT does not "
            "know its attention; take magnitude_pruning for size, channel_pruning or int8_dynamic for speed"
        )

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        masks = keep_two_of_four(network)
        if not masks:
            raise InvalidRecipe(
                f"semi_structured_pruning: {type(network).__name__} has no layer whose inputs come in fours"
            )
        learning.fine_tune(network, self.fine_tuning, [KeptZeros(network, masks)])
        return network


def keep_two_of_four(network: Trainable) -> Masks:
    """The masks of all layers that can have them."""
    weights = prunable_weights(network)
    return {name: largest_two(weight) for name, weight in weights.items() if weight.shape[1] % GROUP == 0}


@torch.no_grad()
def largest_two(weight: Tensor) -> Tensor:
    """weight [out, in, …] → BOOL of its shape: true for the two largest of every four along the input."""
    magnitudes = weight.detach().abs().movedim(1, -1)
    fours = magnitudes.reshape(*magnitudes.shape[:-1], -1, GROUP)
    kept = torch.zeros_like(fours, dtype=torch.bool).scatter_(-1, fours.topk(KEPT, dim=-1).indices, True)
    return kept.flatten(-2).movedim(-1, 1)
