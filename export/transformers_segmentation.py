"""Semantic segmenters of transformers: whatever answers logits at some resolution (SegFormer, UperNet, DPT, …)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional

from export.import_facts import ImportFacts
from export.transformers_folder import TransformersModel
from export.transformers_module import AdaptedModel, Original, TransformersGraph, pool
from tasks.classification import softmax
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.label_grid import NOT_SEEN
from tasks.segmentation import SegmentationSpec
from tasks.task import Array
from training.networks.segmenter import Segmenter, name_pixels


class SegmenterGraph(TransformersGraph):
    """image → (mask uint8 [B, H, W], confidence [B, C], embedding [B, D]). Argmax inside, at the size of the input."""

    output_names: ClassVar[tuple[str, ...]] = Segmenter.output_names

    def __init__(self, opened: TransformersModel) -> None:
        super().__init__(opened)
        self._image = opened.image

    def finish(self, answer: Any) -> tuple[Tensor, ...]:
        return *name_pixels(enlarge(answer.logits, self._image)), pool(answer.hidden_states[-1])


def adapt_segmenter(opened: TransformersModel, facts: ImportFacts) -> AdaptedModel:
    """The embedding is the mean of the last hidden state. Raises BadInput for more labels than a mask can hold."""
    if len(opened.labels) > NOT_SEEN:
        raise BadInput(f"the model has {len(opened.labels)} labels; a mask of bytes can hold {NOT_SEEN}")
    spec = SegmentationSpec(labels=opened.labels, image=opened.image)

    def conclude(answer: Any) -> dict[str, Array]:
        probabilities = softmax(enlarge(answer.logits, opened.image).numpy().transpose(0, 2, 3, 1))
        mask = probabilities.argmax(axis=-1).astype(np.uint8)
        return {
            "mask": mask,
            "confidence": np.stack([mean_by_class(*pair) for pair in zip(probabilities, mask, strict=True)]),
            "embedding": pool(answer.hidden_states[-1]).numpy(),
        }

    return AdaptedModel(spec, SegmenterGraph(opened), Original(opened, conclude).run)


def enlarge(logits: Tensor, image: ImageSpec) -> Tensor:
    """[B, C, h, w] → [B, C, H, W], as transformers' own post-processing does."""
    return functional.interpolate(logits, size=(image.height, image.width), mode="bilinear", align_corners=False)


def mean_by_class(probabilities: Array, mask: Array) -> Array:
    """Probabilities [H, W, C] of the pixels that the mask [H, W] gives to each class, averaged: FP32 [C]."""
    best = probabilities.max(axis=-1).astype(np.float64).ravel()
    num_classes = probabilities.shape[-1]
    totals = np.bincount(mask.ravel(), best, minlength=num_classes)
    counts = np.bincount(mask.ravel(), minlength=num_classes)
    return np.asarray(totals / np.maximum(counts, 1), np.float32)
