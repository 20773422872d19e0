"""Smaller networks of the same architecture: every one that is shipped can be built at any factor, and is smaller."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.models import llama
from training.networks.build import build_captioner, build_classifier, build_head, build_language_model
from training.networks.config import Building, ModelConfig
from training.networks.network import Trainable
from training.networks.shrink import scale_width, shrink_model

IMAGE = ImageSpec(height=32, width=32)
RESNET = ModelConfig(architecture="resnet", options={"depths": [1, 1, 1], "widths": [8, 16, 24], "stem": "halve"})
MODELS: list[tuple[Building, ModelConfig]] = [
    ("backbone", RESNET),
    ("backbone", ModelConfig(architecture="mobilenet")),
    ("backbone", ModelConfig(architecture="vgg", options={"depths": [1, 1], "widths": [16, 32], "hidden": [64]})),
    ("detector", ModelConfig(architecture="fcos", options={"strides": [4, 8]}, backbone=RESNET)),
    ("detector", ModelConfig(architecture="faster_rcnn", options={"strides": [4, 8]}, backbone=RESNET)),
    ("segmenter", ModelConfig(architecture="unet", options={"widths": [16, 16], "detail_width": 8}, backbone=RESNET)),
    ("segmenter", ModelConfig(architecture="deeplab", backbone=RESNET)),
    ("captioner", ModelConfig(architecture="prefix_captioner", options={"strides": [4, 8]}, backbone=RESNET)),
    ("language_model", ModelConfig(architecture="llama")),
    ("language_model", ModelConfig(architecture="lstm")),
]


def build(config: ModelConfig, builds: Building) -> Trainable:
    if builds == "backbone":
        return build_classifier(config, 3, IMAGE)
    if builds == "captioner":
        return build_captioner(config, 100, 64, IMAGE)
    if builds == "language_model":
        return build_language_model(config, 100, 64)
    return build_head(config, builds, 3, IMAGE)


def num_weights(config: ModelConfig, builds: Building) -> int:
    return sum(weight.numel() for weight in build(config, builds).parameters())


@pytest.mark.parametrize(("builds", "config"), MODELS, ids=[config.architecture for _, config in MODELS])
def test_half_as_wide_is_well_below_half_as_large(builds: Building, config: ModelConfig) -> None:
    sizes = [num_weights(shrink_model(config, builds, factor), builds) for factor in (0.75, 0.5)]
    assert num_weights(config, builds) > sizes[0] > sizes[1]
    assert sizes[1] < 0.55 * num_weights(config, builds)


def test_weights_of_the_original_are_not_asked_for() -> None:
    config = ModelConfig(architecture="resnet", options={"widths": [8], "depths": [1]}, warm_start="digits")
    assert shrink_model(config, "backbone", 0.5).warm_start == ""


@pytest.mark.parametrize("builds", ["backbone", "segmenter"])
def test_who_can_not_shrink_is_named(builds: Building) -> None:
    options: dict[str, Any] = {"model_type": "resnet"}
    backbone = ModelConfig(architecture="auto_backbone", options=options)
    config = backbone if builds == "backbone" else ModelConfig(architecture="unet", backbone=backbone)
    with pytest.raises(InvalidRecipe, match="'auto_backbone' does not know how to become smaller: name a model"):
        shrink_model(config, builds, 0.5)


def test_a_factor_that_changes_nothing_is_refused() -> None:
    with pytest.raises(InvalidRecipe, match=r"'resnet' times 0\.99 is as large as it was"):
        shrink_model(RESNET, "backbone", 0.99)


@given(st.integers(1, 16), st.integers(1, 4), st.integers(1, 4), st.floats(0.05, 0.95))
def test_any_llama_stays_one_that_can_be_exported(kv_heads: int, group: int, steps: int, factor: float) -> None:
    heads = kv_heads * group
    options = llama.Options(width=heads * 16 * steps, heads=heads, kv_heads=kv_heads)
    smaller = llama.shrink(options, factor)
    assert smaller.width <= options.width
    assert smaller.head_width % llama.HEAD_STEP == 0


@given(st.integers(1, 4096), st.floats(0.01, 1))
def test_widths_are_whole_steps_where_there_is_room(width: int, factor: float) -> None:
    scaled = scale_width(width, factor)
    assert scaled >= 1
    assert scaled % 8 == 0 or scaled < 8 or scaled <= 8
    assert abs(scaled - width * factor) <= 4 or scaled == 1
