"""A model: normalisation, a backbone of some architecture, a linear head. What export turns into a graph.

A new architecture is one new file here, with an `Options` Struct (its table in a recipe, `[model.options]`) and a
function `build(options, image) -> Backbone`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch
from torch import Tensor, nn

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.recipe import ModelConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NOT_ARCHITECTURES = frozenset({"__init__", "model"})


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of one architecture in a recipe.

    `mean` and `std` normalise pixels scaled to 0…1; left out, they are those of pretrained weights, or ImageNet's.
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


class Backbone(nn.Module):
    """Normalised pixels FP32 [B, 3, H, W] → embedding FP32 [B, `embedding_dim`]."""

    embedding_dim: int


class Architecture(Protocol):
    """What each file of this folder offers."""

    @property
    def Options(self) -> type[Options]: ...  # noqa: N802 (a class, seen through a module)

    def build(self, options: Any, image: ImageSpec) -> Backbone: ...

    def settle(self, options: Any) -> Any:
        """Options from which the same network can be built again without a download or a folder of weights."""
        ...


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


class Classifier(nn.Module):
    """image [B, H, W, 3], uint8 or float of 0…255 → (logits FP32 [B, C], embedding FP32 [B, D])."""

    def __init__(self, normalise: Normalise, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        self.head = nn.Linear(backbone.embedding_dim, num_classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embed(image)
        return self.head(embedding).float(), embedding

    def embed(self, image: Tensor) -> Tensor:
        """The picture's embedding alone: FP32 [B, D]."""
        embedding: Tensor = self.backbone(self.normalise(image))
        return embedding.float()


def list_architectures() -> tuple[str, ...]:
    """Names a recipe may give as `model.architecture`."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in NOT_ARCHITECTURES))


def open_architecture(name: str, origin: str = "recipe") -> Architecture:
    """The file that builds an architecture. Raises InvalidRecipe listing those that exist."""
    if name not in list_architectures():
        known = ", ".join(list_architectures())
        raise InvalidRecipe(f"{origin}: model.architecture {name!r} is unknown; this version knows {known}")
    architecture: Any = import_module(f"training.models.{name}")
    return architecture  # type: ignore[no-any-return]


def parse_options(config: ModelConfig, origin: str = "recipe") -> Options:
    """The typed options of a recipe's model. Raises InvalidRecipe naming the field."""
    architecture = open_architecture(config.architecture, origin)
    try:
        return msgspec.convert(config.options, architecture.Options)
    except msgspec.ValidationError as error:
        raise InvalidRecipe(f"{origin}: model.options of {config.architecture!r}: {error}") from error


def build_model(config: ModelConfig, num_classes: int, image: ImageSpec) -> Classifier:
    """A new model: random weights, or pretrained ones below the head where the options name them."""
    options = parse_options(config)
    architecture = open_architecture(config.architecture)
    settled: Options = architecture.settle(options)
    normalise = Normalise(settled.mean or IMAGENET_MEAN, settled.std or IMAGENET_STD)
    return Classifier(normalise, architecture.build(options, image), num_classes)


def settle_model(config: ModelConfig) -> ModelConfig:
    """A config that builds the same network from nothing but itself: what a checkpoint carries beside its weights."""
    settled = open_architecture(config.architecture).settle(parse_options(config))
    return ModelConfig(architecture=config.architecture, options=msgspec.to_builtins(settled))
