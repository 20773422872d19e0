"""A smaller network of the same architecture: all its widths times one factor.

What a width is, only the architecture knows: its file says so by `shrink(options, factor)`. Depths and what the network
sees and answers stay.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.errors import InvalidRecipe
from training.networks.architecture import open_architecture, parse_options
from training.networks.build import backbone_of
from training.networks.config import Building, ModelConfig

WIDTH_STEP = 8
"""Widths are multiples of this where they are not smaller: vectors of processors are as long."""


def shrink_model(config: ModelConfig, builds: Building, factor: float) -> ModelConfig:
    """The table of a smaller network with random weights. Raises InvalidRecipe where the architecture, or that of its
    backbone, can not shrink, or has no width left to lose."""
    smaller = shrink_tables(config, builds, factor)
    if smaller == shrink_tables(config, builds, 1.0):
        raise InvalidRecipe(
            f"{config.architecture!r} times {factor:g} is as large as it was: shrink it further, or name a model"
        )
    return smaller


def shrink_tables(config: ModelConfig, builds: Building, factor: float) -> ModelConfig:
    """Of a network and of the backbone that it stands on."""
    architecture: Any = open_architecture(config.architecture, builds)
    if not hasattr(architecture, "shrink"):
        raise InvalidRecipe(
            f"{config.architecture!r} does not know how to become smaller: name a model to learn instead, with its "
            "architecture and options"
        )
    options = architecture.shrink(parse_options(config, builds), factor)
    stands = builds not in ("backbone", "language_model")
    return ModelConfig(
        architecture=config.architecture,
        options=msgspec.to_builtins(options),
        backbone=shrink_tables(backbone_of(config), "backbone", factor) if stands else None,
    )


def scale_width(width: int, factor: float) -> int:
    """A width times a factor, rounded to a multiple of WIDTH_STEP where it is at least one."""
    scaled = width * factor
    if scaled < WIDTH_STEP:
        return max(1, round(scaled))
    return round(scaled / WIDTH_STEP) * WIDTH_STEP


def scale_widths(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(scale_width(width, factor) for width in widths)
