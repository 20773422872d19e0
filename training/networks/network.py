"""A network: normalisation, a backbone of some architecture, and what a task puts on top."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class FeatureMap(NamedTuple):
    """One of the maps that a backbone gives: its channels, and how many input pixels lie between its positions."""

    channels: int
    stride: int


class Backbone(nn.Module):
    """Normalised pixels FP32 [B, 3, H, W] → feature maps, or one embedding for each picture.

    An architecture implements `features`; `build_trunk` finds out the rest by trying it.
    """

    feature_maps: tuple[FeatureMap, ...] = ()
    """What `features` gives, in its order."""
    embedding_dim: int = 0

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Maps FP32 [B, channels, height, width], finest first."""
        raise NotImplementedError

    def pool(self, features: list[Tensor]) -> Tensor:
        """The embedding FP32 [B, `embedding_dim`] of pictures whose features are known."""
        return features[-1].mean(dim=(2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.pool(self.features(pixels))


class Normalise(nn.Module):
    """Pixels [B, H, W, 3] of 0…255, uint8 or float → FP32 [B, 3, H, W]. First layer of every graph."""

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("scale", 1 / (torch.tensor(std).view(1, 3, 1, 1) * 255))
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, image: Tensor) -> Tensor:
        return (image.permute(0, 3, 1, 2).to(self.shift.dtype) - self.shift) * self.scale


class Trunk(NamedTuple):
    """What all networks begin with."""

    normalise: Normalise
    backbone: Backbone


class Trainable(nn.Module):
    """What a recipe trains, of any kind."""

    output_names: ClassVar[tuple[str, ...]]
    """What `forward` returns, in its order."""
    warm_trunk: ClassVar[tuple[str, ...]]
    """How the names of weights begin that a warm start always takes over: the other network must have the same."""

    def backbones(self) -> tuple[nn.Module, ...]:
        """The parts that `optimiser.backbone_factor` and `schedule.frozen_epochs` are about; none where all of the
        network learns alike."""
        return ()

    def blocks_to_shard(self) -> tuple[nn.Module, ...]:
        """The parts that are computed one after the other and hold nearly all weights; none where there are no such."""
        return ()

    def head_parameters(self) -> list[nn.Parameter]:
        """All that is learnt above the backbones."""
        below = {id(parameter) for part in self.backbones() for parameter in part.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in below]


class Network(Trainable):
    """image [B, H, W, 3], uint8 or float of 0…255 → the graph's outputs, named by `output_names` in their order."""

    # The backbone, and the normalisation that its weights were learnt behind.
    warm_trunk: ClassVar[tuple[str, ...]] = ("normalise.", "backbone.")
    warm_parts: ClassVar[tuple[str, ...]] = ()
    """How the names of weights begin that a warm start also takes over, where the other network has all of a part."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.normalise = trunk.normalise
        self.backbone = trunk.backbone

    def features(self, image: Tensor) -> list[Tensor]:
        """The backbone's maps of pictures as they come."""
        return self.backbone.features(self.normalise(image))

    def backbones(self) -> tuple[nn.Module, ...]:
        return (self.backbone,)
