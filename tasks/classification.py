"""Image classification: one label per picture, with calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from tasks.errors import BadInput, InvalidPackage, Unsupported
from tasks.image import MAX_PIXELS, ImageSpec
from tasks.image_signals import EMBEDDING_SIGNALS, IMAGE_SIGNALS, embedding_signals, image_signals
from tasks.picture_input import PictureInput
from tasks.task import (
    Array,
    Category,
    Observation,
    Params,
    ParamValue,
    Picture,
    Prediction,
    Sample,
    Scalar,
    SignalSpec,
    TaskSpec,
    TensorSpec,
    largest_difference,
)


class ClassificationSpec(TaskSpec, frozen=True, kw_only=True, tag="classification"):
    """Facts of a classifier. `temperature` divides the logits; it is fitted on validation data (Guo et al., 2017)."""

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    image: ImageSpec
    temperature: Annotated[float, msgspec.Meta(ge=1e-3)] = 1.0


class ClassificationParams(Params, frozen=True, kw_only=True):
    """`top_k`: how many classes an answer lists, most probable first; more than there are means all."""

    top_k: Annotated[int, msgspec.Meta(ge=1)] = 5


class ClassScore(msgspec.Struct, frozen=True):
    """One class and its calibrated probability."""

    label: str
    class_id: int
    score: float


class ClassificationPrediction(Prediction, frozen=True, kw_only=True):
    """The `top_k` classes, most probable first, and the entropy of the whole distribution in nats."""

    classes: tuple[ClassScore, ...]
    entropy: float


class Classification(PictureInput):
    """The task of naming a picture. Graph: `image` UINT8 → `logits` FP32 [classes], `embedding` FP32 [dimension].

    Stateless and thread-safe; `preprocess(sample_from_bytes(payload))` is the same on every call and every thread."""

    spec_type: ClassVar[type[TaskSpec]] = ClassificationSpec
    prediction_type: ClassVar[type[Prediction]] = ClassificationPrediction
    params_type: ClassVar[type[Params]] = ClassificationParams
    verb: ClassVar[str] = "classify"
    media_types: ClassVar[Mapping[str, Mapping[str, ParamValue]]] = {}

    def __init__(self, spec: ClassificationSpec) -> None:
        super().__init__(spec.image)
        self._spec = spec

    @property
    def spec(self) -> ClassificationSpec:
        return self._spec

    @property
    def labels(self) -> tuple[str, ...]:
        return self._spec.labels

    def parse_params(self, values: Mapping[str, ParamValue]) -> ClassificationParams:
        try:
            return msgspec.convert(dict(values), ClassificationParams, strict=False)
        except msgspec.ValidationError as error:
            raise BadInput(f"parameters of classification: {error}; known: top_k (whole number ≥ 1)") from error

    def decode_output(self, outputs: Mapping[str, Array], sample: Sample, params: Params) -> ClassificationPrediction:
        assert isinstance(params, ClassificationParams)
        logits = outputs["logits"]
        if logits.shape != (len(self._spec.labels),) or not np.isfinite(logits).all():
            # No input that passed our checks may cause this, so the model is at fault and not the caller.
            raise InvalidPackage(
                f"the model answered with logits {logits.ravel()[:8].tolist()} of shape {list(logits.shape)}; expected "
                f"{len(self._spec.labels)} finite numbers, one per label: roll back to another version of it"
            )
        probabilities = softmax(logits.astype(np.float64) / self._spec.temperature)
        # By logits: probabilities round small differences away, and the decision must be the argmax of the graph.
        ranked = np.argsort(-logits, kind="stable")[: params.top_k]
        return ClassificationPrediction(
            classes=tuple(ClassScore(self._spec.labels[i], int(i), float(probabilities[i])) for i in ranked),
            entropy=float(-np.sum(probabilities * np.log(np.maximum(probabilities, 1e-300)))),
        )

    def draw(self, payload: bytes, prediction: Prediction, params: Params, max_pixels: int = MAX_PIXELS) -> Picture:
        raise Unsupported("a classification has no picture to answer with")

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(name="labels", dtype="BYTES", shape=(-1, -1)),
            TensorSpec(name="class_ids", dtype="INT64", shape=(-1, -1)),
            TensorSpec(name="scores", dtype="FP32", shape=(-1, -1)),
        )

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        assert isinstance(prediction, ClassificationPrediction)
        return {
            "labels": np.array([c.label.encode() for c in prediction.classes], object),
            "class_ids": np.array([c.class_id for c in prediction.classes], np.int64),
            "scores": np.array([c.score for c in prediction.classes], np.float32),
        }

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        return {
            **IMAGE_SIGNALS,
            **EMBEDDING_SIGNALS,
            "confidence": SignalSpec(kind="scalar"),
            "entropy": SignalSpec(kind="scalar"),
            "predicted_class": SignalSpec(kind="category", categories=self._spec.labels),
        }

    def signals(
        self, sample: Sample, tensors: Mapping[str, Array], outputs: Mapping[str, Array], prediction: Prediction
    ) -> dict[str, Observation]:
        assert isinstance(prediction, ClassificationPrediction)
        best = prediction.classes[0]
        return {
            **image_signals(sample, tensors["image"]),
            **embedding_signals(outputs["embedding"]),
            "confidence": Scalar(best.score),
            "entropy": Scalar(prediction.entropy),
            "predicted_class": Category(best.class_id),
        }

    def decision(self, prediction: Prediction) -> str:
        assert isinstance(prediction, ClassificationPrediction)
        return prediction.classes[0].label

    def differences(self, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
        return {name: largest_difference(expected[name], array) for name, array in actual.items()}


def softmax(logits: Array) -> Array:
    """Along the last axis, without overflow."""
    shifted: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return normalised
