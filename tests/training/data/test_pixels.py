from __future__ import annotations

import pytest
import torch

from tasks.classification import ClassificationSpec
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.task import open_task
from training.classification.targets import ClassTargets
from training.data.config import DigitsConfig
from training.data.pixels import CachedPixels, StreamedPixels, open_pixels
from training.data.source import Example, MemorySplit, open_source

SPEC = ClassificationSpec(labels=tuple("0123456789"), image=ImageSpec(height=12, width=10))


def test_cached_and_streamed_pixels_are_those_of_the_task() -> None:
    split = MemorySplit(open_source(DigitsConfig()).split("test")[i] for i in range(20))
    cached, streamed = (
        open_pixels(split, SPEC, ClassTargets()),
        open_pixels(split, SPEC, ClassTargets(), max_cached_bytes=100),
    )
    assert isinstance(cached, CachedPixels)
    assert isinstance(streamed, StreamedPixels)
    assert len(cached) == len(streamed) == 20
    images, targets = cached.__getitems__([3, 19, 3])
    for left, right in zip((images, targets), streamed.__getitems__([3, 19, 3]), strict=True):
        assert torch.equal(left, right)
    task = open_task(SPEC)
    expected = task.preprocess(task.sample_from_bytes(split[3].payload))["image"]
    assert torch.equal(images[0], torch.from_numpy(expected))
    assert targets.tolist() == [split[3].target, split[19].target, split[3].target]


def test_another_picture_size_is_not_read_from_the_same_cache() -> None:
    split = open_source(DigitsConfig()).split("test")
    other = ClassificationSpec(labels=SPEC.labels, image=ImageSpec(height=8, width=8))
    assert open_pixels(split, other, ClassTargets())[0][0].shape == (1, 8, 8, 3)
    assert open_pixels(split, SPEC, ClassTargets())[0][0].shape == (1, 12, 10, 3)


def test_a_picture_that_cannot_be_read_stops_the_training() -> None:
    with pytest.raises(BadInput):
        open_pixels(MemorySplit([Example(b"no picture", 0)]), SPEC, ClassTargets())
