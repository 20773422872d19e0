"""Candidates of a batch → detections in pixels of the model's input, to keep an eye on a network while it learns.

The finished network is judged through the task instead, in original pixels; overlaps are the same in both.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from tasks.detection_spec import DetectionSpec
from tasks.nms import rank_candidates, suppress
from training.data.annotation import Annotation
from training.detection.coco import MAX_DETECTIONS, Boxes
from training.networks.detector import CROWD, PADDING


def detect(boxes: Tensor, scores: Tensor, spec: DetectionSpec) -> list[Boxes]:
    """Candidates [B, K, 4] with scores [B, K, C] → what is left of each picture after suppression."""
    return [
        Boxes(
            *suppress(
                rank_candidates(one_boxes, one_scores, spec.min_score_threshold),
                spec.suppression,
                spec.iou_threshold,
                spec.min_score_threshold,
                MAX_DETECTIONS,
            )
        )
        for one_boxes, one_scores in zip(boxes.cpu().numpy(), scores.cpu().numpy(), strict=True)
    ]


def annotate(boxes: Tensor, class_ids: Tensor) -> list[Annotation]:
    """Targets of a batch as annotations. Of a crowd the class is no longer known: it counts for no class."""
    pictures = []
    for one_boxes, one_ids in zip(boxes.cpu().numpy(), class_ids.cpu().numpy(), strict=True):
        known = (one_ids != PADDING) & (one_ids != CROWD)
        pictures.append(Annotation(one_boxes[known], one_ids[known], np.zeros(int(known.sum()), np.bool_)))
    return pictures
