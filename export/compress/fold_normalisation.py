"""Batch normalisation folded into the convolutions before it, as the ONNX graph will have it.

What is quantized is the folded weight: a network that learns to live with that must have it in front of it. Which
normalisation follows which convolution is seen by running the network once, however its code is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from training.networks.network import Trainable


def fold_normalisation(network: Trainable, image: Tensor) -> None:
    """Changes a network in evaluation mode, in place; what it answers stays the same. `image`: a batch that it takes.

    Normalisation that does not follow one convolution alone stays where it is."""
    for norm, conv in find_pairs(network, image).items():
        fold(conv, norm)
        replace_everywhere(network, norm)


@torch.no_grad()
def find_pairs(network: Trainable, image: Tensor) -> dict[nn.BatchNorm2d, nn.Conv2d]:
    """Normalisation → the convolution whose results it alone takes, and which alone it takes results of."""
    results: list[tuple[Tensor, nn.Conv2d]] = []
    makers: dict[nn.BatchNorm2d, list[nn.Conv2d | None]] = defaultdict(list)

    def note_result(conv: nn.Module, inputs: Any, result: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        results.append((result, conv))

    def note_input(norm: nn.Module, inputs: Sequence[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        makers[norm].append(next((conv for result, conv in results if result is inputs[0]), None))

    handles = [each.register_forward_hook(note_result) for each in network.modules() if isinstance(each, nn.Conv2d)]
    handles += [
        each.register_forward_pre_hook(note_input) for each in network.modules() if isinstance(each, nn.BatchNorm2d)
    ]
    try:
        network(image)
    finally:
        for handle in handles:
            handle.remove()
    num_results = Counter(conv for _, conv in results)
    num_read = Counter(conv for found in makers.values() for conv in found)
    pairs = {}
    for norm, found in makers.items():
        conv = found[0]
        if conv is not None and num_results[conv] == num_read[conv] == found.count(conv) == len(found):
            pairs[norm] = conv
    return pairs


@torch.no_grad()
def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """The convolution takes over what the normalisation does."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def replace_everywhere(network: nn.Module, layer: nn.Module) -> None:
    """Puts nothing in a layer's place, under every name that it has."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child is layer:
                setattr(parent, name, nn.Identity())
