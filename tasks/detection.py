"""Object detection: boxes with labels and scores, in pixels of the original picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from tasks.box_differences import box_differences
from tasks.detection_outputs import surviving_boxes
from tasks.detection_spec import DetectionParams, DetectionSpec, SuppressionInside, limits_of, refuse_looser, settle
from tasks.draw_boxes import draw_boxes
from tasks.errors import BadInput
from tasks.image import MAX_PIXELS
from tasks.image_signals import EMBEDDING_SIGNALS, IMAGE_SIGNALS, embedding_signals, image_signals
from tasks.picture_input import PictureInput
from tasks.task import (
    Array,
    Observation,
    Params,
    ParamValue,
    Picture,
    Prediction,
    Sample,
    Scalar,
    SignalSpec,
    TensorSpec,
    WeightedBins,
)

__all__ = [
    "DetectedObject",
    "Detection",
    "DetectionParams",
    "DetectionPrediction",
    "DetectionSpec",
    "SuppressionInside",
]

NUM_SCORE_BINS = 10
BOX_DECIMALS = 3
"""Of a pixel: what is beyond is the noise of the arithmetic, as in 224.99999999999997."""
MIN_RELATIVE_AREA = 1e-12
"""Keeps the logarithm of an area finite; a pixel of the largest picture is larger."""


class DetectedObject(msgspec.Struct, frozen=True):
    """One object. `box`: left, top, right, bottom in pixels of the original picture, inside of it, never empty."""

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


class DetectionPrediction(Prediction, frozen=True, kw_only=True):
    """The objects found, best first, and the size of the picture they were found in. As many as `max_detections` means
    that there may be more."""

    width: int
    height: int
    max_detections: int
    detections: tuple[DetectedObject, ...]


class Detection(PictureInput):
    """The task of finding objects. Graph: `image` UINT8 → `boxes` FP32 [k, 4], `scores` FP32 [k, classes] and
    `embedding` FP32 [dimension]; see `tasks.detection_outputs` for graphs that suppress by themselves.

    Suppression and `max_detections` come first, then boxes are carried to the original picture, clipped to it, and
    dropped where nothing is left (those in the padding): a graph with suppression inside knows no original, and both
    kinds must give the same. Stateless and thread-safe."""

    spec_type: ClassVar[type[DetectionSpec]] = DetectionSpec
    prediction_type: ClassVar[type[DetectionPrediction]] = DetectionPrediction
    params_type: ClassVar[type[DetectionParams]] = DetectionParams
    verb: ClassVar[str] = "detect"
    media_types: ClassVar[Mapping[str, Mapping[str, ParamValue]]] = {"image/jpeg": {"overlay": True}}

    def __init__(self, spec: DetectionSpec) -> None:
        super().__init__(spec.image)
        self._spec = spec

    @property
    def spec(self) -> DetectionSpec:
        return self._spec

    @property
    def labels(self) -> tuple[str, ...]:
        return self._spec.labels

    def parse_params(self, values: Mapping[str, ParamValue]) -> DetectionParams:
        try:
            params = msgspec.convert(dict(values), DetectionParams, strict=False)
        except msgspec.ValidationError as error:
            raise BadInput(f"parameters of detection: {error}; known: {limits_of(self._spec)}") from error
        refuse_looser(self._spec, params)
        return params

    def decode_output(self, outputs: Mapping[str, Array], sample: Sample, params: Params) -> DetectionPrediction:
        assert isinstance(params, DetectionParams)
        asked = settle(self._spec, params)
        found = surviving_boxes(outputs, self._spec, asked)
        width, height = sample.placement.original_width, sample.placement.original_height
        corners = sample.placement.to_original(found.boxes.reshape(-1, 2, 2))
        boxes = np.clip(corners, 0.0, (width, height)).round(BOX_DECIMALS).reshape(-1, 4)
        visible = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        rows = zip(
            found.class_ids[visible].tolist(), found.scores[visible].tolist(), boxes[visible].tolist(), strict=True
        )
        return DetectionPrediction(
            width=width,
            height=height,
            max_detections=asked.max_detections,
            detections=tuple(
                DetectedObject(self._spec.labels[class_id], class_id, score, tuple(box))
                for class_id, score, box in rows
            ),
        )

    def draw(self, payload: bytes, prediction: Prediction, params: Params, max_pixels: int = MAX_PIXELS) -> Picture:
        assert isinstance(prediction, DetectionPrediction)
        return draw_boxes(payload, prediction.detections, max_pixels)

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(name="num_detections", dtype="INT32", shape=(-1,)),
            TensorSpec(name="detection_boxes", dtype="FP32", shape=(-1, -1, 4)),
            TensorSpec(name="detection_scores", dtype="FP32", shape=(-1, -1)),
            TensorSpec(name="detection_class_ids", dtype="INT64", shape=(-1, -1)),
            TensorSpec(name="detection_labels", dtype="BYTES", shape=(-1, -1)),
        )

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        """Padded to `max_detections` with zeros and empty labels, so that the pictures of a request stack."""
        assert isinstance(prediction, DetectionPrediction)
        found, size = prediction.detections, prediction.max_detections
        boxes, scores = np.zeros((size, 4), np.float32), np.zeros(size, np.float32)
        class_ids, labels = np.zeros(size, np.int64), np.full(size, b"", object)
        if found:
            boxes[: len(found)] = [one.box for one in found]
            scores[: len(found)] = [one.score for one in found]
            class_ids[: len(found)] = [one.class_id for one in found]
            labels[: len(found)] = [one.label.encode() for one in found]
        return {
            "num_detections": np.array(len(found), np.int32),
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_class_ids": class_ids,
            "detection_labels": labels,
        }

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        steps = [f"{step / NUM_SCORE_BINS:g} to {(step + 1) / NUM_SCORE_BINS:g}" for step in range(NUM_SCORE_BINS)]
        return {
            **IMAGE_SIGNALS,
            **EMBEDDING_SIGNALS,
            "num_boxes": SignalSpec(kind="scalar"),
            "top_score": SignalSpec(kind="scalar"),
            "score_histogram": SignalSpec(kind="weighted", categories=tuple(steps)),
            "class_mix": SignalSpec(kind="weighted", categories=self._spec.labels),
            "box_area": SignalSpec(kind="scalar"),
        }

    def signals(
        self, sample: Sample, tensors: Mapping[str, Array], outputs: Mapping[str, Array], prediction: Prediction
    ) -> dict[str, Observation]:
        """Boxes of one picture depend on each other, so each signal says one thing of the picture as a whole.

        `top_score` is the best of all that the graph gave, above the threshold or not; `box_area` the mean logarithm of
        the share of the picture that a box covers. What only boxes have is left out where there are none."""
        assert isinstance(prediction, DetectionPrediction)
        scores = outputs["kept_scores"] if "kept_boxes" in outputs else outputs["scores"]
        signals: dict[str, Observation] = {
            **image_signals(sample, tensors["image"]),
            **embedding_signals(outputs["embedding"]),
            "num_boxes": Scalar(float(len(prediction.detections))),
            "top_score": Scalar(float(scores.max(initial=0.0))),
        }
        return signals | self._box_signals(prediction) if prediction.detections else signals

    def _box_signals(self, prediction: DetectionPrediction) -> dict[str, Observation]:
        """Of a picture with boxes."""
        found = prediction.detections
        steps = np.clip(np.array([one.score for one in found]) * NUM_SCORE_BINS, 0, NUM_SCORE_BINS - 1).astype(np.int64)
        left, top, right, bottom = np.array([one.box for one in found]).T
        areas = (right - left) * (bottom - top) / (prediction.width * prediction.height)
        by_class = np.bincount([one.class_id for one in found], minlength=len(self._spec.labels))
        return {
            "score_histogram": WeightedBins(np.bincount(steps, minlength=NUM_SCORE_BINS) / len(found)),
            "class_mix": WeightedBins(by_class / len(found)),
            "box_area": Scalar(float(np.log(np.maximum(areas, MIN_RELATIVE_AREA)).mean())),
        }

    def decision(self, prediction: Prediction) -> str:
        """How many of each label, in the order of the labels, as in "2×cat, 1×dog"."""
        assert isinstance(prediction, DetectionPrediction)
        return count_labels((one.class_id for one in prediction.detections), self._spec.labels)

    def differences(self, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
        return box_differences(expected, actual, self._spec)


def count_labels(class_ids: Iterable[int], labels: Sequence[str]) -> str:
    """How many of each label, in the order of the labels, as in "2×cat, 1×dog"."""
    counts = Counter(class_ids)
    return ", ".join(f"{counts[i]}×{labels[i]}" for i in sorted(counts)) or "nothing"
