"""How far two answers of a segmenter are apart: a hair of rounding is little, nonsense infinitely much."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.mask_differences import mask_differences


def outputs(mask, confidence=(0.9, 0.8, 0.7)):
    return {
        "mask": np.array(mask, np.uint8),
        "confidence": np.array(confidence, np.float32),
        "embedding": np.arange(4, dtype=np.float32),
    }


HALVES = np.repeat([0, 1], 500).reshape(20, 50)


def test_equal_answers_are_no_distance_apart():
    assert mask_differences(outputs(HALVES), outputs(HALVES)) == {"mask": 0, "confidence": 0, "embedding": 0}


def test_masks_differ_by_the_share_of_their_pixels():
    moved = HALVES.copy()
    moved[0, :30] = 2
    assert mask_differences(outputs(HALVES), outputs(moved))["mask"] == pytest.approx(0.03)


def test_confidence_is_compared_where_a_class_covers_a_hundredth_on_both_sides():
    speck = HALVES.copy()
    speck[0, :9] = 2
    actual = outputs(speck, (0.9, 0.75, 0.1))
    assert mask_differences(outputs(HALVES, (0.9, 0.8, 0.0)), actual)["confidence"] == pytest.approx(0.05)
    patch = HALVES.copy()
    patch[0, :10] = 2
    distance = mask_differences(outputs(patch, (0.9, 0.8, 0.7)), outputs(patch, (0.9, 0.8, 0.1)))["confidence"]
    assert distance == pytest.approx(0.6)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_is_infinitely_far_even_of_an_absent_class(wrong):
    assert mask_differences(outputs(HALVES), outputs(HALVES, (0.9, 0.8, wrong)))["confidence"] == float("inf")
    broken = outputs(HALVES) | {"embedding": np.array([0, wrong, 2, 3], np.float32)}
    assert mask_differences(outputs(HALVES), broken)["embedding"] == float("inf")


def test_another_shape_is_infinitely_far():
    assert mask_differences(outputs(HALVES), outputs(HALVES[:-1]))["mask"] == float("inf")
    assert mask_differences(outputs(HALVES), outputs(HALVES, (0.9, 0.8)))["confidence"] == float("inf")


def test_only_the_outputs_that_are_there_are_compared():
    actual = {name: array for name, array in outputs(HALVES).items() if name != "mask"}
    assert mask_differences(outputs(HALVES), actual) == {"confidence": 0, "embedding": 0}
