from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.language.report import draw_texts


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=20), st.integers(1, 60))
def test_as_many_texts_as_begin_within_so_many_bytes(texts: list[bytes], max_bytes: int) -> None:
    drawn = draw_texts(texts, max_bytes)
    if sum(map(len, texts)) <= max_bytes:
        assert drawn == texts
    else:
        assert sum(map(len, drawn[:-1])) < max_bytes <= sum(map(len, drawn))
        assert all(drawn.count(text) <= texts.count(text) for text in drawn)
    assert draw_texts(texts, max_bytes) == drawn
