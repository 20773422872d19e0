"""The sheet of a model of texts shows them as they stand, whatever Markdown is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from export.forgotten import Change, Forgotten, summarise
from export.generative.passage import Passage
from export.generative.text_sheet import fence, write_text_sheet


def forgotten(after: str) -> Forgotten:
    changed = Change(
        index=0,
        truth="truly",
        before="as before",
        after=after,
        seed=0,
        num_seeds=2,
        worth_before=0.5,
        worth_after=0.25,
    )
    figure = summarise(1.0, [1.5, 2.0])
    return Forgotten(
        seeds=(0, 1),
        metric="bits_per_byte",
        figure=figure,
        calibration_error=figure,
        num_examples=9,
        num_changed=1,
        classes=(),
        changes=(changed,),
    )


def test_every_prompt_stands_with_what_follows_and_both_continuations() -> None:
    passages = [Passage("the naïve prompt".encode(), (1,), 4)]
    sheet = write_text_sheet(["int4 of sentences", "lost most"], forgotten("otherwise"), passages).decode()
    assert sheet.startswith("# int4 of sentences\n\nlost most\n")
    assert "## 1. 1.000 → 2.000 bits a byte, 2 of 2 seeds" in sheet
    shown = ["~~~\nthe naïve prompt\n~~~", "~~~\ntruly\n~~~", "~~~\nas before\n~~~", "~~~\notherwise\n~~~"]
    assert sorted(shown, key=sheet.index) == shown


@given(st.text(alphabet="~`# \na", max_size=40))
def test_no_text_ends_its_fence(text: str) -> None:
    first, *_, last = fence(text).split("\n")
    assert first == last
    assert first not in text
