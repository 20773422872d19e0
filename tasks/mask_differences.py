"""How far two answers of a segmenter to one picture are apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.task import Array, largest_difference

MIN_COMPARED_SHARE = 0.01
"""Of the pixels: the confidence of a class on fewer is the mean of too few to be compared."""


def mask_differences(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
    """Outputs of one item, see `tasks.segmentation`, → distance of each that `actual` has.

    Masks are as far apart as the share of pixels in which they differ. Confidences are compared of classes that cover a
    hundredth of the pixels on both sides: below that, one pixel more or less moves their mean at will."""
    distances = {name: largest_difference(expected[name], array) for name, array in actual.items()}
    if not np.isfinite(distances.get("mask", np.inf)):
        return distances
    distances["mask"] = float(np.mean(expected["mask"] != actual["mask"]))
    if np.isfinite(distances.get("confidence", np.inf)):
        compared = np.minimum(class_shares(expected), class_shares(actual)) >= MIN_COMPARED_SHARE
        distances["confidence"] = largest_difference(expected["confidence"][compared], actual["confidence"][compared])
    return distances


def class_shares(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
    """The share of the mask's pixels that each class has, [classes]."""
    return np.array([np.mean(outputs["mask"] == class_id) for class_id in range(len(outputs["confidence"]))])
