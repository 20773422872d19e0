"""How good detections are, as COCO judges them: average precision over classes, overlaps and sizes.

The one place that talks to faster-coco-eval, which computes what pycocotools does. Training and export both come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from numpy.typing import NDArray

from training.data.annotation import Annotation

MAX_DETECTIONS = 100
"""Per picture and class, best first; the rest is not looked at."""
SUMMARY = {
    "ap": "AP_all",
    "ap50": "AP_50",
    "ap75": "AP_75",
    "ap_small": "AP_small",
    "ap_medium": "AP_medium",
    "ap_large": "AP_large",
    "recall": "AR_third",
}
"""Our names → those of faster-coco-eval. Small is below 32², large above 96² pixels of the original picture."""
NO_OBJECTS = -1.0
"""What COCO says of a class or a size that no object has."""


class Boxes(NamedTuple):
    """Detections of one picture in any order: boxes [n, 4] (left, top, right, bottom) in pixels of the original
    picture, scores [n] and class ids [n]."""

    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    class_ids: NDArray[np.integer[Any]]


@dataclass(frozen=True)
class CocoResult:
    """`precision` float64 [overlaps, recalls, classes] at overlaps of 0.50, 0.55 … 0.95 and recalls of 0, 0.01 … 1;
    a class without objects has −1 everywhere. `summary`: figures by name, missing where there is nothing to judge."""

    summary: dict[str, float]
    precision: NDArray[np.float64]
    labels: tuple[str, ...]

    def class_ap(self, overlap_index: int | None = None) -> dict[str, float]:
        """Average precision of each class that has objects: over all overlaps, or at one (0 is 0.50)."""
        chosen = self.precision if overlap_index is None else self.precision[[overlap_index]]
        return {
            label: float(chosen[:, :, index].mean())
            for index, label in enumerate(self.labels)
            if (chosen[:, :, index] > NO_OBJECTS).all()
        }


def coco_metrics(
    ground_truth: Sequence[Annotation],
    sizes: Sequence[tuple[int, int]],
    predictions: Sequence[Boxes],
    labels: Sequence[str],
) -> dict[str, float]:
    """`ap`, `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`, `recall`, and `ap_class_<label>` for each class.

    One annotation, size (height, width) and prediction for each picture. What no object can be judged by is left out:
    a class or a size without objects. Detections in crowd regions are neither right nor wrong.
    """
    result = judge(ground_truth, sizes, predictions, labels)
    return result.summary | {f"ap_class_{label}": value for label, value in result.class_ap().items()}


def judge(
    ground_truth: Sequence[Annotation],
    sizes: Sequence[tuple[int, int]],
    predictions: Sequence[Boxes],
    labels: Sequence[str],
) -> CocoResult:
    """As `coco_metrics`, with the precisions that curves are drawn of."""
    truth = COCO()
    truth.dataset = describe_truth(ground_truth, sizes, labels)
    truth.createIndex()
    found = truth.loadRes(list_detections(predictions))
    evaluation = COCOeval_faster(truth, found, iouType="bbox", print_function=tell_nobody)
    evaluation.run()
    # precision: [overlaps, recalls, classes, sizes, numbers of detections]; all sizes, most detections.
    precision = np.asarray(evaluation.eval["precision"], np.float64)[:, :, :, 0, -1]
    figures = evaluation.stats_as_dict
    summary = {name: figures[theirs] for name, theirs in SUMMARY.items() if figures[theirs] > NO_OBJECTS}
    return CocoResult(summary, precision, tuple(labels))


def tell_nobody(message: str) -> None:
    """Every evaluation would log a table of its own, into the middle of an export's."""


def describe_truth(
    ground_truth: Sequence[Annotation], sizes: Sequence[tuple[int, int]], labels: Sequence[str]
) -> dict[str, Any]:
    """The JSON of an instances file. Numbers begin with 1: a 0 means "no match" inside COCO's evaluation."""
    objects = [
        {
            "id": 0,
            "image_id": image_id,
            "category_id": int(class_id) + 1,
            "bbox": to_coco(box),
            "area": float((box[2] - box[0]) * (box[3] - box[1])),
            "iscrowd": int(crowd),
        }
        for image_id, annotation in enumerate(ground_truth, 1)
        for box, class_id, crowd in zip(annotation.boxes, annotation.class_ids, annotation.crowd, strict=True)
    ]
    return {
        "info": {},
        "images": [{"id": i, "height": int(h), "width": int(w)} for i, (h, w) in enumerate(sizes, 1)],
        "categories": [{"id": i, "name": label} for i, label in enumerate(labels, 1)],
        "annotations": [{**fact, "id": index} for index, fact in enumerate(objects, 1)],
    }


def list_detections(predictions: Sequence[Boxes]) -> list[dict[str, Any]]:
    """The JSON of a results file."""
    return [
        {"image_id": image_id, "category_id": int(class_id) + 1, "bbox": to_coco(box), "score": float(score)}
        for image_id, found in enumerate(predictions, 1)
        for box, score, class_id in zip(*found, strict=True)
    ]


def to_coco(box: NDArray[Any]) -> list[float]:
    """(left, top, right, bottom) → [left, top, width, height]."""
    left, top, right, bottom = (float(value) for value in box)
    return [left, top, right - left, bottom - top]
