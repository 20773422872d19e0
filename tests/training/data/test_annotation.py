from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.annotation import Annotation
from training.data.digits import encode_png

OBJECTS = st.tuples(*[st.floats(-10, 5000, width=32)] * 4, st.integers(0, 2**40), st.booleans())


def annotation(objects: list[tuple[float, float, float, float, int, bool]], mask: bytes, caption: str) -> Annotation:
    return Annotation(
        np.array([row[:4] for row in objects], np.float32).reshape(-1, 4),
        np.array([row[4] for row in objects], np.int64),
        np.array([row[5] for row in objects], np.bool_),
        mask,
        caption,
    )


@given(st.lists(OBJECTS, max_size=5), st.binary(max_size=9), st.text(max_size=9))
@settings(deadline=None)
def test_what_is_encoded_is_decoded(objects: list[tuple[float, ...]], mask: bytes, caption: str) -> None:
    before = annotation(objects, mask, caption)  # type: ignore[arg-type]
    after = Annotation.decode(before.encode())
    assert after == before
    assert hash(after) == hash(before)
    for name in ("boxes", "class_ids", "crowd"):
        old, new = getattr(before, name), getattr(after, name)
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert np.array_equal(old, new)


def test_whatever_differs_makes_another_annotation() -> None:
    one = annotation([(0, 0, 4, 4, 1, False)], b"", "")
    others = [
        annotation([(0, 0, 4, 5, 1, False)], b"", ""),
        annotation([(0, 0, 4, 4, 2, False)], b"", ""),
        annotation([(0, 0, 4, 4, 1, True)], b"", ""),
        annotation([(0, 0, 4, 4, 1, False)], b"x", ""),
        annotation([(0, 0, 4, 4, 1, False)], b"", "x"),
        annotation([], b"", ""),
    ]
    assert len({one, *others}) == len(others) + 1


def test_a_mask_is_the_indices_of_its_png() -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(annotation([], encode_png(mask), "").mask(), mask)
