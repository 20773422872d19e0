from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serving.generation.stop_texts import StopTexts

TEXTS = st.text("ab", max_size=30)
STOPS = st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=4).map(tuple)


def first_stop(text: str, stops: tuple[str, ...]) -> str:
    """The stop text that is complete first, of those that end together the longest; read off the whole text."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return max(ending, key=len)
    return ""


def read(stops: StopTexts, pieces: list[str]) -> list[str]:
    return [stops.push(piece) for piece in pieces]


@given(TEXTS, STOPS, st.lists(st.integers(0, 30), max_size=10))
def test_it_does_not_matter_where_tokens_begin_and_end(text: str, stops: tuple[str, ...], cuts: list[int]) -> None:
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    reader = StopTexts(stops)
    seen = "".join(read(reader, [text[a:b] for a, b in pairwise(borders)])) + reader.flush()
    found = first_stop(text, stops)
    assert reader.found == found
    assert seen == (text[: text.find(found)] if found else text)


@given(TEXTS, STOPS)
def test_nothing_is_held_back_that_can_not_become_a_stop_text(text: str, stops: tuple[str, ...]) -> None:
    reader, seen = StopTexts(stops), ""
    for at, character in enumerate(text, 1):
        seen += reader.push(character)
        if reader.found:
            return
        held = text[len(seen) : at]
        endings = [text[at - size : at] for size in range(at + 1)]
        beginnings = [ending for ending in endings if any(stop.startswith(ending) for stop in stops)]
        assert held == max(beginnings, key=len)


def test_nothing_comes_after_a_stop_text() -> None:
    reader = StopTexts(("b",))
    assert read(reader, ["ab", "cd"]) == ["a", ""]
    assert reader.flush() == ""
