"""What a local transformers folder holds: the model, its labels, and the preprocessing it was trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from export.import_facts import ImportFacts, InputFacts, TaskName
from tasks.errors import BadInput
from tasks.image import ImageSpec

AUTO_CLASSES: Mapping[TaskName, str] = {
    "classification": "AutoModelForImageClassification",
    "detection": "AutoModelForObjectDetection",
    "segmentation": "AutoModelForSemanticSegmentation",
}
PILLOW_BILINEAR, PILLOW_BICUBIC = 2, 3


@dataclass(frozen=True)
class TransformersModel:
    """An opened folder, with the facts of the TOML where they say otherwise. `module` is in evaluation mode."""

    module: Any
    labels: tuple[str, ...]
    image: ImageSpec
    input: InputFacts


def open_folder(folder: Path, facts: ImportFacts) -> TransformersModel:
    """Raises BadInput where the folder and the facts do not belong together, or both leave something open."""
    model = load_model(folder, facts.task)
    labels = facts.labels or tuple(model.config.id2label[i] for i in range(model.config.num_labels))
    if len(labels) != model.config.num_labels:
        raise BadInput(f"the model gives {model.config.num_labels} scores, and {len(labels)} labels are listed")
    preprocessing = read_preprocessing(folder)
    return TransformersModel(
        module=model,
        labels=labels,
        image=facts.image or image_spec_of(preprocessing, facts.task),
        input=facts.input or input_facts_of(preprocessing),
    )


def load_model(folder: Path, task: TaskName) -> Any:
    """From the folder alone: no hub, no code of the folder, no pickles. Raises BadInput."""
    import transformers

    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder} has no .safetensors weights; pickled weights are not read: convert them first")
    try:
        model = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, attn_implementation="eager"
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise BadInput(
            f"{folder} does not open as a {task} model of transformers (set task in the TOML for another): {error}"
        ) from error
    return model.eval()


def read_preprocessing(folder: Path) -> dict[str, Any]:
    """preprocessor_config.json; empty where there is none."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON: {error}") from error
    return found


def image_spec_of(preprocessing: Mapping[str, Any], task: TaskName = "classification") -> ImageSpec:
    """Size, fit and interpolation. Raises BadInput where the folder does not give a size.

    A graph takes pictures of one size. Where the folder resizes by the shortest edge and takes what comes of the other,
    a classifier sees the centre of the picture, as most are trained; a detector or segmenter has to see all of it, and
    gets it letterboxed into a square of that edge. [image] in the TOML says otherwise.
    """
    size, crop = preprocessing.get("size"), preprocessing.get("crop_size")
    crops = bool(preprocessing.get("do_center_crop")) and crop is not None
    target = crop if crops else size
    if isinstance(target, int):
        target = {"height": target, "width": target}
    if not isinstance(target, dict) or not ("height" in target or "shortest_edge" in target):
        raise BadInput("preprocessor_config.json gives no size: add [image] with height and width to the TOML")
    height, width = (int(target.get(side) or target["shortest_edge"]) for side in ("height", "width"))
    interpolation: Literal["bilinear", "bicubic"]
    interpolation = "bicubic" if preprocessing.get("resample", PILLOW_BILINEAR) == PILLOW_BICUBIC else "bilinear"
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    if crops or "shortest_edge" in target:
        fit = "crop" if task == "classification" else "letterbox"
    return ImageSpec(height=height, width=width, fit=fit, interpolation=interpolation)


def input_facts_of(preprocessing: Mapping[str, Any]) -> InputFacts:
    """Rescaling, normalisation and order of the channels, as far as the folder switches them on."""
    channels: Literal["rgb", "bgr"] = "bgr" if preprocessing.get("do_flip_channel_order") else "rgb"
    rescale = preprocessing.get("rescale_factor", 1 / 255) if preprocessing.get("do_rescale", True) else 1.0
    if not preprocessing.get("do_normalize", "image_mean" in preprocessing):
        return InputFacts(rescale=rescale, channels=channels)
    mean, std = (tuple(np.broadcast_to(preprocessing[key], 3).tolist()) for key in ("image_mean", "image_std"))
    return InputFacts(rescale=rescale, mean=mean, std=std, channels=channels)
