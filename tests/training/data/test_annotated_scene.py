from __future__ import annotations

import io
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from training.data.annotated_scene import MASK_LABELS, MAX_SIDE, MIN_SIDE, MIN_VISIBLE
from training.data.annotation import Annotation
from training.data.config import ScenesConfig
from training.data.leakage import find_leakage
from training.data.scene_source import AnnotatedSceneSource
from training.data.source import SPLITS, AnnotatedSource, open_source

CONFIG = ScenesConfig(max_digits=6, train_size=60, validation_size=30, test_size=30)


@pytest.fixture(scope="module")
def source() -> AnnotatedSceneSource:
    opened = open_source(CONFIG)
    assert isinstance(opened, AnnotatedSceneSource)
    return opened


@pytest.fixture(scope="module")
def scenes(source: AnnotatedSceneSource) -> list[tuple[Image.Image, Annotation]]:
    examples = islice(source.stream("train", 0), 240)
    return [(Image.open(io.BytesIO(payload)), target) for payload, target in examples if isinstance(target, Annotation)]


def test_one_digit_has_a_class_several_have_annotations(source: AnnotatedSceneSource) -> None:
    assert isinstance(source, AnnotatedSource)
    assert source.labels == tuple("0123456789")
    assert source.mask_labels == MASK_LABELS
    # Neither look makes a picture.
    assert not isinstance(open_source(ScenesConfig()), AnnotatedSource)


def test_counts_and_classes_are_balanced_and_sizes_bounded(scenes: list[tuple[Image.Image, Annotation]]) -> None:
    counts = Counter(len(target.boxes) for _, target in scenes)
    assert set(counts) == set(range(1, 7))
    assert min(counts.values()) > 20
    classes = np.bincount(np.concatenate([target.class_ids for _, target in scenes]), minlength=10)
    assert classes.min() > 0.6 * classes.mean()
    assert all(MIN_SIDE <= side <= MAX_SIDE for picture, _ in scenes for side in picture.size)
    heights = [box[3] - box[1] for picture, target in scenes for box in target.boxes * 128 / picture.height]
    assert min(heights) > 13
    assert max(heights) < 90


def test_boxes_and_masks_tell_of_the_same_digits(scenes: list[tuple[Image.Image, Annotation]]) -> None:
    for picture, target in scenes[:100]:
        mask = target.mask()
        assert mask.shape == (picture.height, picture.width)
        assert set(np.unique(mask)) - {0} == set(target.class_ids + 1)
        inside = np.zeros(mask.shape, np.bool_)
        for left, top, right, bottom in target.boxes.astype(int):
            assert 0 <= left < right <= picture.width
            assert 0 <= top < bottom <= picture.height
            inside[top:bottom, left:right] = True
        assert not mask[~inside].any()
        # Of a digit that is painted last nothing is hidden: its box is tight around its pixels.
        left, top, right, bottom = target.boxes[-1].astype(int)
        window = mask[top:bottom, left:right] == target.class_ids[-1] + 1
        assert all(edge.any() for edge in (window[0], window[-1], window[:, 0], window[:, -1]))


def test_no_digit_is_hidden(scenes: list[tuple[Image.Image, Annotation]]) -> None:
    hidden = 0
    for _, target in scenes:
        mask = target.mask()
        for box, class_id in zip(target.boxes.astype(int), target.class_ids, strict=True):
            seen = (mask[box[1] : box[3], box[0] : box[2]] == class_id + 1).mean()
            # Of its box, the ink of a digit covers a fifth at least.
            hidden += seen < 0.15 * MIN_VISIBLE
    assert hidden == 0


def test_digits_overlap(scenes: list[tuple[Image.Image, Annotation]]) -> None:
    def overlaps(boxes: np.ndarray) -> bool:
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        return bool(np.triu((high > low).all(axis=-1), 1).any())

    assert np.mean([overlaps(target.boxes) for _, target in scenes]) > 0.3


def test_ink_stands_out_from_what_is_around_it(scenes: list[tuple[Image.Image, Annotation]]) -> None:
    for picture, target in scenes[:100]:
        mask, grey = target.mask(), np.asarray(picture.convert("L"), np.float32)
        assert np.ptp(grey[mask > 0]) + abs(grey[mask > 0].mean() - grey[mask == 0].mean()) > 25


def test_splits_are_cached_annotated_and_free_of_leaks(source: AnnotatedSceneSource) -> None:
    assert [len(source.split(name)) for name in SPLITS] == [60, 30, 30]
    assert open_source(CONFIG).digest == source.digest
    assert list(source.split("test").targets) == [example.target for example in source.split("test")]
    assert all(isinstance(target, Annotation) and target.caption for target in source.split("test").targets)
    assert find_leakage(source) == []


def test_another_number_of_digits_is_other_data(source: AnnotatedSceneSource) -> None:
    other = open_source(ScenesConfig(max_digits=2, train_size=60, validation_size=30, test_size=30))
    assert max(len(target.boxes) for target in other.split("test").targets if isinstance(target, Annotation)) == 2
    assert other.split("test").digest != source.split("test").digest
