"""Semantic segmentation: a label for every pixel of the original picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tasks.draw_mask import draw_mask
from tasks.errors import BadInput, InvalidPackage, Unsupported
from tasks.image import MAX_PIXELS, ImageSpec
from tasks.image_signals import EMBEDDING_SIGNALS, IMAGE_SIGNALS, embedding_signals, image_signals
from tasks.label_grid import NOT_SEEN, LabelGrid, original_grid
from tasks.mask_differences import mask_differences
from tasks.palette_png import encode_png
from tasks.picture_input import PictureInput
from tasks.polygons import trace_labels
from tasks.rle import Rle, decode_labels, encode_labels
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
    TaskSpec,
    TensorSpec,
    WeightedBins,
)

BACKGROUND = "background"
"""What label 0 is called where it stands for everything that has no label of its own."""
NOTHING = "nothing"
"""The decision about a picture of background alone."""


class SegmentationSpec(TaskSpec, frozen=True, kw_only=True, tag="segmentation"):
    """Facts of a segmenter. A mask's value is an index into `labels`; 255 is left for pixels that were not seen."""

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=NOT_SEEN)]
    image: ImageSpec


class SegmentationParams(Params, frozen=True, kw_only=True):
    """`format`: how the mask is answered: as COCO run lengths or polygons in JSON, or as one palette PNG. `overlay`:
    answer the picture with the mask drawn on it instead (JPEG)."""

    format: Literal["rle", "polygons", "png"] = "rle"
    overlay: bool = False

    @property
    def wants_picture(self) -> bool:
        return self.overlay or self.format == "png"

    @property
    def wants_overlay(self) -> bool:
        return self.overlay


class Segment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All pixels of one class. `area`: their share of the original picture; `confidence`: the mean probability of the
    class over them. The region itself is in `rle` or in `polygons` (see `tasks.polygons`), by the format asked for."""

    label: str
    class_id: int
    area: float
    confidence: float
    rle: Rle | None = None
    polygons: tuple[tuple[int, ...], ...] | None = None


class SegmentationPrediction(Prediction, frozen=True, kw_only=True, omit_defaults=True):
    """The classes present, ascending by index, and the size of the original picture, upright. `png`: the whole mask at
    that size, where it was asked for; 255 marks pixels that the model never saw."""

    height: int
    width: int
    segments: tuple[Segment, ...]
    png: bytes | None = None


class Segmentation(PictureInput):
    """The task of labelling pixels. Graph: `image` UINT8 → `mask` UINT8 [height, width] of class indices, `confidence`
    FP32 [classes] (mean probability over the pixels of each class, 0 where it has none), `embedding` FP32 [dimension].

    A pixel of the original takes the class that the model's mask has under its centre. Stateless and thread-safe."""

    spec_type: ClassVar[type[TaskSpec]] = SegmentationSpec
    prediction_type: ClassVar[type[Prediction]] = SegmentationPrediction
    params_type: ClassVar[type[Params]] = SegmentationParams
    verb: ClassVar[str] = "segment"
    media_types: ClassVar[Mapping[str, Mapping[str, ParamValue]]] = {
        "image/png": {"format": "png"},
        "image/jpeg": {"overlay": True},
    }

    def __init__(self, spec: SegmentationSpec) -> None:
        super().__init__(spec.image)
        self._spec = spec
        self._background = 0 if spec.labels[0] == BACKGROUND else None

    @property
    def spec(self) -> SegmentationSpec:
        return self._spec

    @property
    def labels(self) -> tuple[str, ...]:
        return self._spec.labels

    def parse_params(self, values: Mapping[str, ParamValue]) -> SegmentationParams:
        try:
            return msgspec.convert(dict(values), SegmentationParams, strict=False)
        except msgspec.ValidationError as error:
            known = "format (rle, polygons or png), overlay (true or false)"
            raise BadInput(f"parameters of segmentation: {error}; known: {known}") from error

    def decode_output(self, outputs: Mapping[str, Array], sample: Sample, params: Params) -> SegmentationPrediction:
        assert isinstance(params, SegmentationParams)
        mask, confidence = self._checked(outputs)
        grid = original_grid(mask, sample.placement)
        # Whoever draws the mask over the picture needs all of it, and run lengths are the shortest form.
        form = "rle" if params.overlay else params.format
        return SegmentationPrediction(
            height=grid.height,
            width=grid.width,
            segments=self._segments(grid, confidence, form),
            png=encode_png(grid) if form == "png" else None,
        )

    def _checked(self, outputs: Mapping[str, Array]) -> tuple[NDArray[np.uint8], Array]:
        """Mask and confidence. No input that passed our checks may spoil them, so the model is at fault."""
        mask, confidence = outputs["mask"], outputs["confidence"]
        height, width, num_labels = self._spec.image.height, self._spec.image.width, len(self._spec.labels)
        fault = None
        if mask.dtype != np.uint8 or mask.shape != (height, width):
            fault = f"a mask of {mask.dtype} {list(mask.shape)}; expected uint8 [{height}, {width}]"
        elif int(mask.max()) >= num_labels:
            fault = f"class {int(mask.max())} in its mask; expected 0 to {num_labels - 1}, an index of its labels"
        elif confidence.dtype.kind != "f" or confidence.shape != (num_labels,):
            fault = f"confidences of {confidence.dtype} {list(confidence.shape)}; expected float32 [{num_labels}]"
        elif not np.isfinite(confidence).all():
            fault = f"confidences {confidence[:8].tolist()}; expected finite numbers"
        if fault:
            raise InvalidPackage(f"the model answered with {fault}: roll back to another version of it")
        return mask, confidence

    def _segments(self, grid: LabelGrid, confidence: Array, form: str) -> tuple[Segment, ...]:
        """One per class present in the original."""
        shares = grid.shares()
        runs = encode_labels(grid) if form == "rle" else {}
        rings = trace_labels(grid) if form == "polygons" else {}
        return tuple(
            Segment(
                label=self._spec.labels[class_id],
                class_id=class_id,
                area=float(shares[class_id]),
                confidence=float(confidence[class_id]),
                rle=runs.get(class_id),
                polygons=tuple(map(tuple, rings[class_id])) if rings else None,
            )
            for class_id in np.flatnonzero(shares[:NOT_SEEN]).tolist()
        )

    def draw(self, payload: bytes, prediction: Prediction, params: Params, max_pixels: int = MAX_PIXELS) -> Picture:
        assert isinstance(prediction, SegmentationPrediction)
        if prediction.png is not None:
            return Picture("image/png", prediction.png)
        regions = {segment.class_id: segment.rle for segment in prediction.segments if segment.rle is not None}
        if not regions:
            raise Unsupported("only a prediction in run lengths can be drawn over its picture: ask for overlay")
        return draw_mask(payload, decode_labels(regions), self._background, max_pixels)

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        num_labels = len(self._spec.labels)
        return (
            TensorSpec(name="segmentation", dtype="BYTES", shape=(-1,)),
            TensorSpec(name="class_shares", dtype="FP32", shape=(-1, num_labels)),
            TensorSpec(name="class_confidences", dtype="FP32", shape=(-1, num_labels)),
        )

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        """`segmentation` is the prediction's JSON, or its PNG. Absent classes have share and confidence 0."""
        assert isinstance(prediction, SegmentationPrediction)
        shares, confidences = self._by_class(prediction)
        content = prediction.png if prediction.png is not None else msgspec.json.encode(prediction)
        return {
            "segmentation": np.array(content, object),
            "class_shares": shares.astype(np.float32),
            "class_confidences": confidences.astype(np.float32),
        }

    def _by_class(self, prediction: SegmentationPrediction) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Area and confidence of every label, [labels] each."""
        areas, confidences = np.zeros((2, len(self._spec.labels)))
        for segment in prediction.segments:
            areas[segment.class_id], confidences[segment.class_id] = segment.area, segment.confidence
        return areas, confidences

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        return {
            **IMAGE_SIGNALS,
            **EMBEDDING_SIGNALS,
            "class_share": SignalSpec(kind="weighted", categories=self._spec.labels),
            "mask_confidence": SignalSpec(kind="scalar"),
            "boundary_length": SignalSpec(kind="scalar"),
        }

    def signals(
        self, sample: Sample, tensors: Mapping[str, Array], outputs: Mapping[str, Array], prediction: Prediction
    ) -> dict[str, Observation]:
        """`class_share` and `mask_confidence` weigh classes by the pixels seen; `boundary_length` is the number of
        neighbouring pixels of different class over the number of pixels, at the model's resolution."""
        assert isinstance(prediction, SegmentationPrediction)
        areas, confidences = self._by_class(prediction)
        weights = areas / areas.sum()
        mask = outputs["mask"]
        num_borders = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
        return {
            **image_signals(sample, tensors["image"]),
            **embedding_signals(outputs["embedding"]),
            "class_share": WeightedBins(weights),
            "mask_confidence": Scalar(float(weights @ confidences)),
            "boundary_length": Scalar(num_borders / mask.size),
        }

    def decision(self, prediction: Prediction) -> str:
        """The label that covers most of the picture, background aside."""
        assert isinstance(prediction, SegmentationPrediction)
        objects = [segment for segment in prediction.segments if segment.class_id != self._background]
        return max(objects, key=lambda segment: segment.area).label if objects else NOTHING

    def differences(self, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
        return mask_differences(expected, actual)
