from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.challenger.agreement import Seen, common_prefix, equal_pixels, picture_agreement, translation
from tasks.classification import Classification, ClassificationSpec
from tasks.image import ImageSpec
from tasks.label_grid import NOT_SEEN, LabelGrid, plain_grid
from tasks.segmentation import Segmentation, SegmentationSpec
from tasks.task import Task

IMAGE = ImageSpec(height=8, width=8)
SAME = translation(("a", "b", "c"), ("a", "b", "c"))
MASKS = arrays(np.uint8, (6, 4), elements=st.integers(0, 2))
TOKENS = st.lists(st.integers(0, 3), max_size=12)


def refined(grid: LabelGrid) -> LabelGrid:
    """The same mask with every pixel in a cell of its own."""
    return plain_grid(grid.pixels())


@given(MASKS, MASKS, st.data())
def test_pixels_are_counted_on_grids_of_any_coarseness(one: np.ndarray, other: np.ndarray, data: st.DataObject) -> None:
    rows = np.array([0, *sorted(data.draw(st.sets(st.integers(1, 29), min_size=5, max_size=5))), 30])
    columns = np.array([0, *sorted(data.draw(st.sets(st.integers(1, 19), min_size=3, max_size=3))), 20])
    coarse, other_grid = LabelGrid(one, rows, columns), LabelGrid(other, np.arange(0, 31, 5), np.arange(0, 21, 5))
    expected = float((coarse.pixels() == other_grid.pixels()).mean())
    assert equal_pixels(coarse, other_grid, SAME) == expected
    assert equal_pixels(refined(coarse), other_grid, SAME) == expected


def test_masks_of_another_picture_have_nothing_in_common() -> None:
    assert equal_pixels(plain_grid(np.zeros((2, 3), np.uint8)), plain_grid(np.zeros((3, 2), np.uint8)), SAME) == 0


def test_labels_are_translated_by_name_and_what_is_new_is_like_nothing() -> None:
    translated = translation(("b", "new", "a"), ("a", "b"))
    assert translated[0] == 1
    assert translated[2] == 0
    assert translated[NOT_SEEN] == NOT_SEEN
    assert translated[1] > 255


def seen(task: Task, outputs: dict[str, np.ndarray]) -> Seen:
    sample = task.sample_from_tensor(np.zeros((8, 8, 3), np.uint8))
    return Seen(task, sample, outputs, task.decode_output(outputs, sample, task.parse_params({})))


def classified(labels: tuple[str, ...], *logits: float) -> Seen:
    return seen(Classification(ClassificationSpec(labels=labels, image=IMAGE)), {"logits": np.array(logits)})


def segmented(labels: tuple[str, ...], mask: np.ndarray) -> Seen:
    confidence = np.ones(len(labels), np.float32)
    return seen(Segmentation(SegmentationSpec(labels=labels, image=IMAGE)), {"mask": mask, "confidence": confidence})


def test_classifiers_agree_when_their_best_label_is_the_same() -> None:
    one = classified(("cat", "dog"), 3.0, 1.0)
    assert picture_agreement(one, classified(("cat", "dog"), 1.1, 1.0)) == 1
    assert picture_agreement(one, classified(("cat", "dog"), 0.9, 1.0)) == 0
    assert picture_agreement(one, classified(("dog", "cat"), 0.0, 1.0)) == 1  # in another order


def test_segmenters_agree_by_the_share_of_pixels() -> None:
    mask = np.zeros((8, 8), np.uint8)
    half = mask.copy()
    half[:4] = 1
    assert picture_agreement(segmented(("a", "b"), mask), segmented(("a", "b"), half)) == 0.5
    assert picture_agreement(segmented(("a", "b"), half), segmented(("b", "a"), 1 - half)) == 1


@given(TOKENS, TOKENS)
def test_a_prefix_is_a_share_of_the_longer_answer(one: list[int], other: list[int]) -> None:
    share = common_prefix(one, other)
    assert 0 <= share <= 1
    assert (share == 1) == (one == other)
    assert share == common_prefix(other, one)


def test_the_first_difference_ends_it() -> None:
    assert common_prefix([1, 2, 3, 4], [1, 2, 9, 4]) == 0.5
    assert common_prefix("abcd", "ab") == 0.5
    assert common_prefix([], []) == 1
