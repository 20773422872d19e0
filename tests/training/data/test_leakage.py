from __future__ import annotations

import numpy as np

from training.data.annotation import Annotation
from training.data.leakage import find_leakage
from training.data.source import AnnotatedSplitSource, Example, MemorySplit, SplitSource


def test_a_picture_in_two_splits_is_reported_with_its_places() -> None:
    source = SplitSource(
        ("a", "b"),
        {
            "train": MemorySplit([Example(b"one", 0), Example(b"two", 1), Example(b"two", 1)]),
            "validation": MemorySplit([Example(b"three", 0)]),
            "test": MemorySplit([Example(b"four", 0), Example(b"one", 1)]),
        },
    )
    leaks = find_leakage(source)
    # The repetition inside training is no leak; the same picture under two labels is.
    assert [leak.places for leak in leaks] == [("train:0", "test:1")]


def test_a_picture_leaks_whatever_is_annotated_on_it() -> None:
    def example(payload: bytes, class_id: int) -> Example:
        boxes = np.array([[0, 0, 1, 1]], np.float32)
        return Example(payload, Annotation(boxes, np.array([class_id]), np.zeros(1, np.bool_)))

    splits = {
        "train": MemorySplit([example(b"one", 0)]),
        "validation": MemorySplit([example(b"two", 0), example(b"one", 1)]),
        "test": MemorySplit([example(b"three", 0)]),
    }
    leaks = find_leakage(AnnotatedSplitSource(("a", "b"), (), splits))
    assert [leak.places for leak in leaks] == [("train:0", "validation:1")]
