"""The smallest annotated data that a segmenter can learn: a bright square on a dark ground, or the other way round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.annotation import IGNORED, Annotation
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, Example, MemorySplit

LABELS = ("bright", "dark")
MASK_LABELS = ("background", *LABELS)


def mask_only(mask: NDArray[np.uint8]) -> Annotation:
    """uint8 [height, width] without boxes."""
    return Annotation(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_), encode_png(mask))


def draw_square(rng: np.random.Generator) -> Example:
    """A square of one of two classes somewhere in a picture of 24 × 20, whose first row belongs to nobody."""
    class_id, (top, left) = int(rng.integers(2)), rng.integers(2, 10, 2)
    mask = np.zeros((24, 20), np.uint8)
    mask[top : top + 10, left : left + 9] = class_id + 1
    picture = np.full((24, 20, 3), 128, np.uint8)
    picture[mask > 0] = (230, 20)[class_id]
    mask[0] = IGNORED
    return Example(encode_png(picture), mask_only(mask))


def square_source(size: int = 12) -> AnnotatedSplitSource:
    """As many pictures in each split."""
    rng = np.random.default_rng(0)
    splits = {name: MemorySplit(draw_square(rng) for _ in range(size)) for name in SPLITS}
    return AnnotatedSplitSource(LABELS, MASK_LABELS, splits)
