"""Object detectors of transformers: DETR (Carion et al., 2020) and its kin, which answer a set of boxes.

One query, one object: nothing is to be suppressed. Its classes are told apart by a softmax with one class more, for
"no object" (DETR, YOLOS), or by a sigmoid each (Deformable DETR, RT-DETR and those after them)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from export.import_facts import ImportFacts
from export.transformers_folder import TransformersModel
from export.transformers_module import AdaptedModel, Original, TransformersGraph, pool
from tasks.classification import softmax
from tasks.detection import DetectionSpec
from tasks.detection_spec import MAX_DETECTIONS
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.task import Array


class DetectorGraph(TransformersGraph):
    """image → (boxes [B, queries, 4] in input pixels, scores [B, queries, C], embedding [B, D])."""

    output_names: ClassVar[tuple[str, ...]] = ("boxes", "scores", "embedding")

    def __init__(self, opened: TransformersModel) -> None:
        super().__init__(opened)
        self._num_labels = len(opened.labels)
        self.register_buffer("sides", torch.tensor([opened.image.width, opened.image.height], dtype=torch.float32))
        self.sides: Tensor

    def finish(self, answer: Any) -> tuple[Tensor, ...]:
        has_no_object = answer.logits.shape[-1] > self._num_labels
        scores = answer.logits.softmax(-1)[..., :-1] if has_no_object else answer.logits.sigmoid()
        # Not by a matrix: compression would take it for the last layer with weights, and compute boxes in bytes.
        middles, halves = answer.pred_boxes[..., :2] * self.sides, answer.pred_boxes[..., 2:] * (self.sides / 2)
        return torch.cat((middles - halves, middles + halves), dim=-1), scores, pool(encoder_state(answer))


def adapt_detector(opened: TransformersModel, facts: ImportFacts) -> AdaptedModel:
    """The embedding is the mean of the encoder's last state. As many detections as there are queries, which is what
    transformers answers at most. Raises BadInput for answers of another kind."""
    num_queries = count_queries(opened)
    spec = DetectionSpec(
        labels=opened.labels,
        image=opened.image,
        suppression="none",
        score_threshold=facts.detection.score_threshold,
        max_detections=min(num_queries, MAX_DETECTIONS),
    )

    def conclude(answer: Any) -> dict[str, Array]:
        return {
            "boxes": corners(answer.pred_boxes.numpy(), opened.image),
            "scores": scores_of(answer.logits.numpy(), len(opened.labels)),
            "embedding": pool(encoder_state(answer)).numpy(),
        }

    return AdaptedModel(spec, DetectorGraph(opened), Original(opened, conclude).run)


def count_queries(opened: TransformersModel) -> int:
    """By trying one grey picture."""
    with torch.inference_mode():
        answer = opened.module(pixel_values=torch.zeros(1, 3, opened.image.height, opened.image.width))
    if not hasattr(answer, "pred_boxes") or answer.logits.shape[-1] - len(opened.labels) not in (0, 1):
        raise BadInput(
            f"{type(opened.module).__name__} does not answer as DETR and its kin do: boxes and, for each, a logit per "
            f"label ({len(opened.labels)}), with or without one for no object"
        )
    return int(answer.logits.shape[1])


def encoder_state(answer: Any) -> Tensor:
    """Tokens [B, T, D] or the coarsest of several maps [B, D, h, w]. Models without a decoder have but one state."""
    state = getattr(answer, "encoder_last_hidden_state", None)
    state = answer.last_hidden_state if state is None else state
    last: Tensor = state if isinstance(state, Tensor) else state[-1]
    return last


def corners(boxes: Array, image: ImageSpec) -> Array:
    """Centre and size in shares of the input [B, Q, 4] → (left, top, right, bottom) in its pixels."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    sides = np.array([image.width, image.height], np.float32)
    return np.concatenate([(centre - size / 2) * sides, (centre + size / 2) * sides], axis=-1)


def scores_of(logits: Array, num_labels: int) -> Array:
    """[B, Q, C] → probability of each label."""
    if logits.shape[-1] > num_labels:
        return softmax(logits)[..., :num_labels]
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
