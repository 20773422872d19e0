"""Any image backbone of `transformers`, with random or pretrained weights, through AutoBackbone or AutoModel."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, AutoModel
from transformers.models.auto.image_processing_auto import get_image_processor_config
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks.architecture import BackboneOptions
from training.networks.config import Building
from training.networks.network import Backbone

BUILDS: Building = "backbone"
EAGER_ATTENTION = frozenset({"swin", "swinv2"})
"""Their fused attention cannot be exported."""


class Options(BackboneOptions, frozen=True, kw_only=True):
    """Either `pretrained` (a hub name or a local folder), or `model_type` with fields of its transformers `config`.

    Weights are read from safetensors only.
    """

    pretrained: str = ""
    model_type: str = ""
    config: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.pretrained) == bool(self.model_type):
            raise ValueError("give either pretrained (a hub name or folder) or model_type (and config)")


class TransformersBackbone(Backbone):
    """The feature maps of a transformers network, the deepest one of each resolution; tokens are laid out as a map.

    The embedding is the pooled output where there is one and no maps, else the mean over the last map."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def features(self, pixels: Tensor) -> list[Tensor]:
        outputs = self.network(pixels)
        found = getattr(outputs, "feature_maps", None) or [as_map(outputs.last_hidden_state)]
        deepest = {each.shape[2:]: each for each in found}
        return list(deepest.values())

    def forward(self, pixels: Tensor) -> Tensor:
        outputs = self.network(pixels)
        maps = getattr(outputs, "feature_maps", None)
        pooled = getattr(outputs, "pooler_output", None)
        features: Tensor = maps[-1] if maps else outputs.last_hidden_state if pooled is None else pooled
        if features.ndim == 4:
            return features.mean(dim=(2, 3))
        return features.mean(dim=1) if features.ndim == 3 else features


def as_map(states: Tensor) -> Tensor:
    """Tokens [B, T, D] of a square picture → [B, D, side, side], without class and register tokens in front."""
    if states.ndim == 4:
        return states
    side = math.isqrt(states.shape[1])
    grid = states[:, -side * side :].transpose(1, 2)
    return grid.reshape(grid.shape[0], grid.shape[1], side, side)


def build(options: Options, image: ImageSpec) -> TransformersBackbone:
    """The network that the options name. Raises InvalidRecipe where transformers cannot build it for this size."""
    config = open_config(options)
    if not options.pretrained and "image_size" not in options.config and hasattr(config, "image_size"):
        config.image_size = image.height
    arguments = {"attn_implementation": "eager"} if config.model_type in EAGER_ATTENTION else {}
    has_backbone = type(config) in MODEL_FOR_BACKBONE_MAPPING
    if has_backbone:
        config.out_indices = list(range(1, len(config.stage_names)))
    try:
        if options.pretrained:
            # AutoBackbone.from_pretrained asks the hub even for a local folder: its own table leads past that.
            loader = MODEL_FOR_BACKBONE_MAPPING[type(config)] if has_backbone else AutoModel
            network = loader.from_pretrained(options.pretrained, config=config, use_safetensors=True, **arguments)
        else:
            network = (AutoBackbone if has_backbone else AutoModel).from_config(config, **arguments)
        return TransformersBackbone(network.float())
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        name = options.pretrained or options.model_type
        raise InvalidRecipe(
            f"model.options of auto_backbone: {name!r} gives no image backbone for {image.height}×{image.width} "
            f"pixels ({error})"
        ) from error


def settle(options: Options) -> Options:
    """Pretrained weights become the plain config they were built by, so that no hub is asked again."""
    if not options.pretrained:
        return options
    facts = json.loads(open_config(options).to_json_string(use_diff=False))
    processor = get_image_processor_config(options.pretrained)
    return Options(
        model_type=facts.pop("model_type"),
        config=facts,
        mean=read_triple(options.mean, processor.get("image_mean")),
        std=read_triple(options.std, processor.get("image_std")),
    )


def open_config(options: Options) -> Any:
    """The transformers config. Raises InvalidRecipe for a name or a field that transformers does not know."""
    try:
        if options.pretrained:
            return AutoConfig.from_pretrained(options.pretrained)
        return AutoConfig.for_model(options.model_type, **options.config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        name = options.pretrained or options.model_type
        raise InvalidRecipe(f"model.options of auto_backbone: transformers cannot open {name!r} ({error})") from error


def read_triple(given: Any, found: Any) -> tuple[float, float, float] | None:
    """What the recipe says, else what stands beside the weights."""
    return msgspec.convert(given or found, tuple[float, float, float] | None)
