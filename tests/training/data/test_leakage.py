from __future__ import annotations

import numpy as np

from training.data.annotation import Annotation
from training.data.leakage import find_leakage, num_crossing
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


def test_what_is_added_must_not_cross_over_to_another_split() -> None:
    def source(train: bytes, validation: bytes, test: bytes) -> SplitSource:
        parts = {"train": train, "validation": validation, "test": test}
        splits = {name: MemorySplit([Example(bytes([one]), 0) for one in part]) for name, part in parts.items()}
        return SplitSource(("a",), splits)

    known = source(b"abc", b"de", b"fg")
    assert num_crossing(known, source(b"xyz", b"u", b"v")) == 0
    assert num_crossing(known, known) == 0, "the same data, drawn alike"
    assert num_crossing(known, source(b"ff", b"u", b"ab")) == 3


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
