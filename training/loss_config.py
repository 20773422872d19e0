"""The table of a recipe that says what a network is punished for: one Struct for each task."""

from __future__ import annotations

from typing import Annotated

import msgspec

from training.recipe_section import NonNegative, Positive, Section, Share


class ClassificationLoss(Section, frozen=True, kw_only=True, tag_field="task", tag="classification"):
    """Cross-entropy."""

    label_smoothing: Share = 0.0


class DetectionLoss(Section, frozen=True, kw_only=True, tag_field="task", tag="detection"):
    """Every detector has losses of its own, and their weights among its options."""


class SegmentationLoss(Section, frozen=True, kw_only=True, tag_field="task", tag="segmentation"):
    """Cross-entropy of every pixel, plus `dice_weight` times one minus the Dice coefficient.

    In the cross-entropy a class weighs as `class_weights` says, one number for each label; where that is empty, by its
    share of the training pixels to the power of −`class_balance`: 0 leaves them as they are, 1 makes all classes equal.
    """

    dice_weight: NonNegative = 1.0
    class_weights: tuple[Positive, ...] = ()
    class_balance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        if self.class_weights and self.class_balance:
            raise ValueError("class_weights and class_balance exclude each other: leave one of them out")


class CaptioningLoss(Section, frozen=True, kw_only=True, tag_field="task", tag="captioning"):
    """Cross-entropy of every token of a caption."""

    label_smoothing: Share = 0.0


class TextGenerationLoss(Section, frozen=True, kw_only=True, tag_field="task", tag="text_generation"):
    """Cross-entropy of every token."""


LossConfig = ClassificationLoss | DetectionLoss | SegmentationLoss | CaptioningLoss | TextGenerationLoss
