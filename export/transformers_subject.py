"""A local transformers image-classification folder as the subject of an export, held to its own unmodified answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from export.import_facts import ImportFacts, InputFacts
from export.import_samples import digest_samples, load_samples
from export.lineage import now
from export.onnx_subject import prepare
from export.subject import Subject
from export.torch_subject import TorchGraph
from registry.manifest import Lineage
from tasks.classification import ClassificationSpec
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.task import Array, open_task

PILLOW_BILINEAR, PILLOW_BICUBIC = 2, 3


class PixelClassifier(nn.Module):
    """image uint8 [B, H, W, 3] → (logits [B, C], embedding [B, D]): normalisation in front of a transformers model."""

    def __init__(self, model: Any, facts: InputFacts) -> None:
        super().__init__()
        self.model = model
        std = torch.tensor(facts.std).view(1, 3, 1, 1)
        self.register_buffer("multiplier", facts.rescale / std)
        self.register_buffer("offset", torch.tensor(facts.mean).view(1, 3, 1, 1) / std)
        self.multiplier: Tensor
        self.offset: Tensor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return split_outputs(self.model, image.permute(0, 3, 1, 2).float() * self.multiplier - self.offset)


def split_outputs(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the mean of the last hidden state over space [B, D, h, w] or tokens [B, T, D]."""
    outputs = model(pixel_values=pixels, output_hidden_states=True)
    last = outputs.hidden_states[-1]
    return outputs.logits, last.mean(dim=(2, 3)) if last.ndim == 4 else last.mean(dim=1)


@dataclass(frozen=True)
class Original:
    """The unmodified model, fed by preprocessing in numpy."""

    model: Any
    facts: InputFacts

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """`image` uint8 [batch, height, width, 3] → `logits` and `embedding`."""
        with torch.inference_mode():
            logits, embedding = split_outputs(self.model, torch.from_numpy(prepare(tensors["image"], self.facts)))
        return {"logits": logits.numpy(), "embedding": embedding.numpy()}


def subject_of_transformers(folder: Path, facts: ImportFacts, samples: Path) -> Subject:
    """Raises BadInput where the folder, the facts and the samples do not belong together."""
    model = load_model(folder)
    labels = facts.labels or tuple(model.config.id2label[i] for i in range(model.config.num_labels))
    if len(labels) != model.config.num_labels:
        raise BadInput(f"the model gives {model.config.num_labels} scores, and {len(labels)} labels are listed")
    data = load_samples(samples, labels)
    preprocessing = read_preprocessing(folder)
    image, input_facts = facts.image or image_spec_of(preprocessing), facts.input or input_facts_of(preprocessing)
    spec = ClassificationSpec(labels=labels, image=image, temperature=facts.temperature)
    graph = TorchGraph(PixelClassifier(model, input_facts).eval(), open_task(spec), ("logits", "embedding"))
    return Subject(
        name=facts.name,
        task_spec=spec,
        reference=Original(model, input_facts).run,
        write_graph=graph.write,
        data=data,
        lineage=Lineage(created_at=now(), source=f"imported from {folder.name}", dataset_digest=digest_samples(data)),
    )


def load_model(folder: Path) -> Any:
    """From the folder alone: no hub, no code of the folder, no pickles. Raises BadInput."""
    from transformers import AutoModelForImageClassification

    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder} has no .safetensors weights; pickled weights are not read: convert them first")
    try:
        model = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, attn_implementation="eager"
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadInput(f"{folder} is not an image-classification model of transformers: {error}") from error
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


def image_spec_of(preprocessing: Mapping[str, Any]) -> ImageSpec:
    """Size, fit and interpolation. Raises BadInput where the folder does not give a size."""
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
    keeps_aspect = crops or "shortest_edge" in target
    return ImageSpec(height=height, width=width, fit="crop" if keeps_aspect else "stretch", interpolation=interpolation)


def input_facts_of(preprocessing: Mapping[str, Any]) -> InputFacts:
    """Rescaling and normalisation, as far as the folder switches them on."""
    rescale = preprocessing.get("rescale_factor", 1 / 255) if preprocessing.get("do_rescale", True) else 1.0
    if not preprocessing.get("do_normalize", "image_mean" in preprocessing):
        return InputFacts(rescale=rescale)
    mean, std = (tuple(np.broadcast_to(preprocessing[key], 3).tolist()) for key in ("image_mean", "image_std"))
    return InputFacts(rescale=rescale, mean=mean, std=std)
