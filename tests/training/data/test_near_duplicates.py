from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.data.near_duplicates import drop_repeated_paragraphs, find_originals

LONG = "Return the number of items in the list, or zero where the list has no items at all and none can be added."


def test_of_two_that_nearly_agree_the_longer_stays() -> None:
    shortened = LONG.removesuffix(" and none can be added.")
    assert find_originals([shortened, "Something else that nobody has said before in here", LONG]) == [1, 2]


def test_case_and_punctuation_make_no_difference() -> None:
    assert find_originals(["Close the file.", "close the FILE", "Close the door."]) == [0, 2]


def test_a_phrase_in_common_is_no_duplicate() -> None:
    texts = [f"{LONG} {tail}" for tail in ("", "It has " + " ".join(f"word{i}" for i in range(60)))]
    assert find_originals(
        [texts[1], "Return the number of items in the " + " ".join(f"other{i}" for i in range(9))]
    ) == [
        0,
        1,
    ]


def test_a_paragraph_is_said_once() -> None:
    said = "Interpret the argument as if typed."
    texts = [f"First.\n\n{said}", f"{said.upper()}\n\nFirst.", said]
    assert drop_repeated_paragraphs(texts) == [texts[0], "First.", ""]


@given(st.lists(st.text("ab ", max_size=30), max_size=12))
def test_what_is_kept_is_kept_again(texts: list[str]) -> None:
    kept = [texts[i] for i in find_originals(texts)]
    assert find_originals(kept) == list(range(len(kept)))
