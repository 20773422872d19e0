"""Architectures by name: each is one file of training/models.

A file says what it `BUILDS`, has an `Options` Struct (its table in a recipe, `[model.options]`), and a function
`build`: a backbone from `(options, image)`, a detector or segmenter from `(options, trunk, num_classes, image)`, a
language model from `(options, vocabulary, context)`, a captioner from `(options, trunk, vocabulary, context,
image)`. One that can be made narrower says how, by `shrink(options, factor)`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from tasks.unknown_field import explain
from training.networks.config import Building, ModelConfig
from training.networks.language_network import LanguageNetwork
from training.networks.network import Backbone, Network, Trunk

MODEL_FOLDER = Path(__file__).parent.parent / "models"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of one architecture in a recipe."""


class BackboneOptions(Options, frozen=True, kw_only=True):
    """`mean` and `std` normalise pixels scaled to 0…1; left out: those of pretrained weights, or ImageNet's."""

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


class Architecture(Protocol):
    """What every file of training/models offers."""

    BUILDS: Building

    @property
    def Options(self) -> type[Options]: ...  # noqa: N802 (a class, seen through a module)


class BackboneArchitecture(Architecture, Protocol):
    """A file that builds backbones."""

    def build(self, options: Any, image: ImageSpec) -> Backbone: ...

    def settle(self, options: Any) -> Any:
        """Options from which the same network can be built again without a download or a folder of weights."""
        ...


class HeadArchitecture(Architecture, Protocol):
    """A file that builds detectors or segmenters over any backbone."""

    def build(self, options: Any, trunk: Trunk, num_classes: int, image: ImageSpec) -> Network: ...


class LanguageArchitecture(Architecture, Protocol):
    """A file that builds language models."""

    def build(self, options: Any, vocabulary: int, context: int) -> LanguageNetwork: ...


def list_architectures(builds: Building) -> tuple[str, ...]:
    """Names of the architectures of a kind."""
    names = sorted(path.stem for path in MODEL_FOLDER.glob("*.py") if is_name(path.stem))
    return tuple(name for name in names if builds == open_file(name).BUILDS)


def is_name(stem: str) -> bool:
    """May a file of this name be an architecture? Only what Python can import."""
    return stem.isidentifier() and stem != "__init__"


def open_file(name: str) -> Architecture:
    """The module of an architecture that is known to exist."""
    architecture: Any = import_module(f"training.models.{name}")
    return architecture  # type: ignore[no-any-return]


def open_architecture(name: str, builds: Building, origin: str = "recipe") -> Any:
    """The file that builds an architecture. Raises InvalidRecipe listing those that exist."""
    exists = is_name(name) and (MODEL_FOLDER / f"{name}.py").is_file()
    if not exists or builds != open_file(name).BUILDS:
        known = ", ".join(list_architectures(builds))
        raise InvalidRecipe(
            f"{origin}: {name!r} is not the architecture of a {builds}; this version knows {known}. One of your own is "
            "a file of training/models, named by letters, digits and _"
        )
    return open_file(name)


def parse_options(config: ModelConfig, builds: Building, origin: str = "recipe") -> Any:
    """The typed options of one table. Raises InvalidRecipe naming the field."""
    architecture = open_architecture(config.architecture, builds, origin)
    try:
        return msgspec.convert(config.options, architecture.Options)
    except msgspec.ValidationError as error:
        told = explain(error, config.options, architecture.Options)
        raise InvalidRecipe(f"{origin}: options of {config.architecture!r}: {told}") from error
