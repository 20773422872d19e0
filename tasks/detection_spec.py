"""The facts of a detector and the options of a request, and which of both goes."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

from tasks.errors import BadInput, InvalidPackage
from tasks.image import ImageSpec
from tasks.nms import Suppression
from tasks.task import Params, TaskSpec

MAX_DETECTIONS = 1000
"""The most boxes that may be asked for: answers as tensors are padded to what was asked for."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_DETECTIONS)]


class SuppressionInside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the graph itself has already applied, class by class, before its boxes leave it."""

    score_threshold: Share
    iou_threshold: Share
    max_detections: Count


class DetectionSpec(TaskSpec, frozen=True, kw_only=True, tag="detection"):
    """Facts of a detector: its labels, its image, and what is applied where a request says nothing.

    `min_score_threshold` is the loosest a caller may ask for; candidates below it are never looked at. With `inside`
    the graph suppresses by itself, and nothing looser than that can be had from it."""

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    image: ImageSpec
    suppression: Suppression = "class_aware"
    score_threshold: Share = 0.25
    iou_threshold: Share = 0.5
    max_detections: Count = 100
    min_score_threshold: Share = 0.01
    inside: SuppressionInside | None = None

    def __post_init__(self) -> None:
        if self.score_threshold < self.min_score_threshold:
            raise InvalidPackage(
                f"detection spec: score_threshold {self.score_threshold} is below min_score_threshold "
                f"{self.min_score_threshold}"
            )
        limits = limits_of(self)
        if self.inside and (
            self.suppression not in limits.suppressions
            or self.score_threshold < limits.min_score_threshold
            or self.iou_threshold > limits.max_iou_threshold
            or self.max_detections > limits.max_detections
        ):
            raise InvalidPackage(
                f"detection spec: its defaults are looser than what the graph has applied itself ({self.inside}); "
                "suppression inside is class_aware, and defaults must be as strict"
            )


class DetectionParams(Params, frozen=True, kw_only=True):
    """Options of one request; what is left out is as the spec says.

    `suppression`: "class_aware", "class_agnostic", "soft" (lowers scores of overlapping boxes; has no use for
    `iou_threshold`) or "none". `overlay`: answer the picture with the boxes drawn on it."""

    score_threshold: Share | None = None
    iou_threshold: Share | None = None
    max_detections: Count | None = None
    suppression: Suppression | None = None
    overlay: bool = False

    @property
    def wants_overlay(self) -> bool:
        return self.overlay


class Thresholds(NamedTuple):
    """What is applied to one request."""

    score_threshold: float
    iou_threshold: float
    max_detections: int
    suppression: Suppression


class Limits(NamedTuple):
    """How loose a request may be."""

    min_score_threshold: float
    max_iou_threshold: float
    max_detections: int
    suppressions: tuple[Suppression, ...]

    def __str__(self) -> str:
        return (
            f"score_threshold ({self.min_score_threshold:g} to 1), iou_threshold (0 to {self.max_iou_threshold:g}), "
            f"max_detections (1 to {self.max_detections}), suppression ({', '.join(self.suppressions)}), "
            "overlay (true or false)"
        )


def limits_of(spec: DetectionSpec) -> Limits:
    """The loosest options that a model of this spec can honour."""
    inside = spec.inside
    if inside is None:
        return Limits(spec.min_score_threshold, 1.0, MAX_DETECTIONS, ("class_aware", "class_agnostic", "soft", "none"))
    loosest = max(spec.min_score_threshold, inside.score_threshold)
    return Limits(loosest, inside.iou_threshold, inside.max_detections, ("class_aware",))


def settle(spec: DetectionSpec, params: DetectionParams) -> Thresholds:
    """The request's options, and the spec's where it has none."""
    return Thresholds(
        spec.score_threshold if params.score_threshold is None else params.score_threshold,
        spec.iou_threshold if params.iou_threshold is None else params.iou_threshold,
        spec.max_detections if params.max_detections is None else params.max_detections,
        params.suppression or spec.suppression,
    )


def refuse_looser(spec: DetectionSpec, params: DetectionParams) -> None:
    """Raises BadInput for options that a model of this spec cannot honour, naming the limit."""
    limits, asked = limits_of(spec), settle(spec, params)
    refused = []
    if asked.score_threshold < limits.min_score_threshold:
        refused.append(f"score_threshold must be at least {limits.min_score_threshold:g}")
    if asked.iou_threshold > limits.max_iou_threshold:
        refused.append(f"iou_threshold must be at most {limits.max_iou_threshold:g}")
    if asked.max_detections > limits.max_detections:
        refused.append(f"max_detections must be at most {limits.max_detections}")
    if asked.suppression not in limits.suppressions:
        refused.append(f"suppression must be {', '.join(limits.suppressions)}")
    if refused:
        reason = "; the graph of this variant suppresses by itself: ask a variant without that for looser ones"
        raise BadInput(f"parameters of detection: {', '.join(refused)}{reason if spec.inside else ''}; known: {limits}")
