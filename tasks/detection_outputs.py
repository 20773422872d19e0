"""What a detector's graph answered, checked: boxes of one picture in pixels of the model's input, suppressed.

A graph ends either in candidates (`boxes` [k, 4], `scores` [k, classes]) or, where it suppresses by itself, in
`kept_boxes` [n, 4], `kept_scores` [n], `kept_class_ids` [n] and `num_kept`, padded with zeros. Anything else is the
fault of the model and not of the caller, since no input that passed our checks may cause it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.detection_spec import DetectionSpec, Thresholds
from tasks.errors import InvalidPackage
from tasks.nms import RankedBoxes, rank_boxes, rank_candidates, suppress
from tasks.task import Array


def surviving_boxes(outputs: Mapping[str, Array], spec: DetectionSpec, asked: Thresholds) -> RankedBoxes:
    """The detections of one picture in pixels of the model's input, best first. Raises InvalidPackage.

    What the graph kept is suppressed once more, for requests that are stricter than the graph. A higher score threshold
    or fewer detections then give exactly what a graph of candidates gives: greedy suppression looks at no box that is
    worse. A lower IoU threshold gives boxes that obey it, yet possibly fewer of them: a box that the graph dropped
    because of one that is now dropped itself does not come back."""
    if "kept_boxes" in outputs:
        if spec.inside is None:
            raise InvalidPackage(
                "the graph suppresses by itself (it has an output 'kept_boxes'), but the task spec does not say by "
                "which thresholds: its field 'inside' is missing"
            )
        boxes, scores, class_ids = kept_boxes(outputs, len(spec.labels))
        ranked = rank_boxes(boxes, scores, class_ids, asked.score_threshold)
    else:
        ranked = rank_candidates(*candidates(outputs, len(spec.labels)), asked.score_threshold)
    return suppress(ranked, asked.suppression, asked.iou_threshold, asked.score_threshold, asked.max_detections)


def candidates(outputs: Mapping[str, Array], num_classes: int) -> tuple[Array, Array]:
    """`boxes` [k, 4] and `scores` [k, classes], checked."""
    boxes, scores = finite(outputs, "boxes"), finite(outputs, "scores")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes), num_classes):
        raise InvalidPackage(
            f"the model answered with boxes {list(boxes.shape)} and scores {list(scores.shape)}; expected [k, 4] and "
            f"[k, {num_classes}], one score per label: roll back to another version of it"
        )
    return boxes, scores


def kept_boxes(outputs: Mapping[str, Array], num_classes: int) -> tuple[Array, Array, Array]:
    """`kept_boxes` [n, 4], `kept_scores` [n] and `kept_class_ids` [n], checked and without their padding."""
    boxes, scores, class_ids, count = (
        finite(outputs, name) for name in ("kept_boxes", "kept_scores", "kept_class_ids", "num_kept")
    )
    padded = scores.shape[:1]
    if boxes.shape != (*padded, 4) or scores.shape != padded or class_ids.shape != padded or count.size != 1:
        raise InvalidPackage(
            f"the model answered with kept boxes {list(boxes.shape)}, scores {list(scores.shape)}, class ids "
            f"{list(class_ids.shape)} and count {list(count.shape)}; expected [n, 4], [n], [n] and []: roll back to "
            "another version of it"
        )
    num_kept = int(count.item())
    if not 0 <= num_kept <= len(scores):
        raise InvalidPackage(f"the model kept {num_kept} of {len(scores)} boxes: roll back to another version of it")
    class_ids = class_ids[:num_kept]
    if ((class_ids < 0) | (class_ids >= num_classes)).any():
        raise InvalidPackage(
            f"the model answered with class ids {class_ids[:8].tolist()}; expected 0 to {num_classes - 1}, one per "
            "label: roll back to another version of it"
        )
    return boxes[:num_kept], scores[:num_kept], class_ids


def finite(outputs: Mapping[str, Array], name: str) -> Array:
    """One output, with nothing but numbers in it."""
    if name not in outputs:
        raise InvalidPackage(f"the model has no output {name!r}, only {', '.join(sorted(outputs))}")
    array = np.asarray(outputs[name])
    if not np.isfinite(array).all():
        raise InvalidPackage(f"the model answered with {name} that are not finite: roll back to another version of it")
    return array
