"""Networks from the tables of a recipe."""

from __future__ import annotations

import msgspec
import torch

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks.architecture import (
    BackboneArchitecture,
    HeadArchitecture,
    LanguageArchitecture,
    open_architecture,
    parse_options,
)
from training.networks.captioner import Captioner, CaptionerArchitecture
from training.networks.classifier import Classifier
from training.networks.config import Building, ModelConfig
from training.networks.language_network import LanguageNetwork
from training.networks.network import IMAGENET_MEAN, IMAGENET_STD, Backbone, FeatureMap, Network, Normalise, Trunk


def build_trunk(config: ModelConfig, image: ImageSpec) -> Trunk:
    """Normalisation and backbone: random weights, or pretrained ones where the options name them."""
    options = parse_options(config, "backbone")
    architecture: BackboneArchitecture = open_architecture(config.architecture, "backbone")
    settled = architecture.settle(options)
    backbone = architecture.build(options, image)
    try_out(backbone, image)
    return Trunk(Normalise(settled.mean or IMAGENET_MEAN, settled.std or IMAGENET_STD), backbone)


def try_out(backbone: Backbone, image: ImageSpec) -> None:
    """Finds the maps and the embedding that a backbone gives for pictures of this size."""
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        picture = torch.zeros(1, 3, image.height, image.width)
        maps, embedding = backbone.features(picture), backbone(picture)
    backbone.train(was_training)
    strides = [max(1, round(image.height / each.shape[2])) for each in maps]
    backbone.feature_maps = tuple(FeatureMap(m.shape[1], stride) for m, stride in zip(maps, strides, strict=True))
    backbone.embedding_dim = embedding.shape[1]


def build_classifier(config: ModelConfig, num_classes: int, image: ImageSpec) -> Classifier:
    """The architecture that the config names, under one linear layer."""
    return Classifier(build_trunk(config, image), num_classes)


def build_head(config: ModelConfig, builds: Building, num_classes: int, image: ImageSpec) -> Network:
    """A detector or segmenter over its backbone."""
    architecture: HeadArchitecture = open_architecture(config.architecture, builds)
    options = parse_options(config, builds)
    return architecture.build(options, build_trunk(backbone_of(config), image), num_classes, image)


def build_captioner(config: ModelConfig, vocabulary: int, context: int, image: ImageSpec) -> Captioner:
    """A captioner over its backbone, for so many tokens and positions (features of the picture and caption)."""
    architecture: CaptionerArchitecture = open_architecture(config.architecture, "captioner")
    options = parse_options(config, "captioner")
    return architecture.build(options, build_trunk(backbone_of(config), image), vocabulary, context, image)


def caption_grid(config: ModelConfig, image: ImageSpec) -> tuple[int, int]:
    """Rows and columns of features that a captioner will see pictures in. Raises InvalidRecipe."""
    architecture: CaptionerArchitecture = open_architecture(config.architecture, "captioner")
    return architecture.find_grid(parse_options(config, "captioner"), image)


def build_language_model(config: ModelConfig, vocabulary: int, context: int) -> LanguageNetwork:
    """The architecture that the config names, for so many tokens and positions."""
    architecture: LanguageArchitecture = open_architecture(config.architecture, "language_model")
    return architecture.build(parse_options(config, "language_model"), vocabulary, context)


def backbone_of(config: ModelConfig, origin: str = "recipe") -> ModelConfig:
    """The table of the backbone that a head stands on. Raises InvalidRecipe where there is none."""
    if config.backbone is None:
        raise InvalidRecipe(
            f"{origin}: {config.architecture!r} stands on a backbone: add [model.backbone] with its architecture, for "
            "example resnet"
        )
    return config.backbone


def refuse_backbone(config: ModelConfig, origin: str) -> None:
    """Raises InvalidRecipe for a language model that is said to stand on something."""
    if config.backbone is not None:
        raise InvalidRecipe(
            f"{origin}: {config.architecture!r} continues text and has no backbone: leave out model.backbone"
        )


def check_model(config: ModelConfig, builds: Building, origin: str) -> None:
    """Every table of a model against the options of its architecture. Raises InvalidRecipe naming the field."""
    parse_options(config, builds, origin)
    if builds == "language_model":
        refuse_backbone(config, origin)
    elif builds != "backbone":
        parse_options(backbone_of(config, origin), "backbone", origin)
    elif config.backbone is not None:
        raise InvalidRecipe(f"{origin}: a classifier is its backbone: model.architecture names it, not model.backbone")


def settle_model(config: ModelConfig, builds: Building) -> ModelConfig:
    """A config that builds the same network from nothing but itself: what a checkpoint carries beside its weights."""
    if builds == "language_model":
        return msgspec.structs.replace(config, warm_start="")
    if builds != "backbone":
        settled = settle_model(backbone_of(config), "backbone")
        return msgspec.structs.replace(config, backbone=settled, warm_start="")
    architecture: BackboneArchitecture = open_architecture(config.architecture, "backbone")
    options = architecture.settle(parse_options(config, "backbone"))
    return ModelConfig(architecture=config.architecture, options=msgspec.to_builtins(options))
