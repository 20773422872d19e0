from __future__ import annotations

from training.data.leakage import find_leakage
from training.data.source import Example, MemorySplit, SplitSource


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
