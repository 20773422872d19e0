"""Weight clustering: the weights of a layer share a few values, which then learn on.

Han et al., "Deep Compression" (2016), calls it trained quantization: k-means finds the values, one set for each layer,
and learning moves them, each by what all weights that have it ask for. What is stored of a weight is the number of its
value (see `entropy_coding`); nothing gets faster. Weights that an earlier step made zero stay zero, beside the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
import torch
from torch import nn

from export.compress.learning import FineTuning, Learning
from export.compress.scalar_k_means import find_centroids, nearest
from export.compress.technique import Form, NetworkTechnique
from tasks.errors import InvalidRecipe
from training.networks.network import Trainable

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
DENSE = (nn.Linear, nn.Embedding, nn.LSTM)
Bits = Annotated[int, msgspec.Meta(ge=1, le=8)]


class Clustering(NetworkTechnique, frozen=True, kw_only=True, tag="clustering"):
    """A layer has 2 to the power of `bits` values, or `dense_bits` where it is linear, recurrent or a table of
    embeddings (left out: as many). Biases and normalisation are left as they are, and so are layers that have not two
    weights for each value."""

    makes: ClassVar[Form | None] = "shared values"
    undoes: ClassVar[frozenset[Form]] = frozenset({"rounded weights"})
    bits: Bits = 5
    dense_bits: Bits | None = None
    fine_tuning: FineTuning = FineTuning()

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        num_shared = 0
        for weight, bits in self._weights(network):
            num_shared += share_values(weight, 2**bits)
        if not num_shared:
            raise InvalidRecipe("clustering: no layer has two weights for each value; take fewer bits")
        # Weights that share a value go on doing so: all fine-tuning keeps that.
        learning.fine_tune(network, self.fine_tuning)
        return network

    def _weights(self, network: Trainable) -> Iterator[tuple[nn.Parameter, int]]:
        """What is clustered, and by how many bits; weights that two layers have in common once."""
        seen: set[int] = set()
        for layer in network.modules():
            if isinstance(layer, CONVOLUTIONS + DENSE):
                is_dense = isinstance(layer, DENSE)
                bits = self.dense_bits if is_dense and self.dense_bits is not None else self.bits
                for weight in layer.parameters(recurse=False):
                    if weight.ndim > 1 and id(weight) not in seen:
                        seen.add(id(weight))
                        yield weight, bits


@torch.no_grad()
def share_values(weight: nn.Parameter, count: int) -> bool:
    """Every number of a weight becomes one of `count` values, and zeros stay what they are. False, and nothing changed,
    where it has not twice as many: sharing would save nothing there."""
    numbers = weight.numpy(force=True)
    kept = numbers != 0
    if int(kept.sum()) < 2 * count:
        return False
    rounded = numbers.copy()
    rounded[kept] = nearest(numbers[kept], find_centroids(numbers[kept], count))
    weight.copy_(torch.from_numpy(rounded))
    return True
