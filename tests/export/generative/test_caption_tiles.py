"""Captions under their pictures."""

from __future__ import annotations

from export.contact_sheet import BETTER, INK, WORSE
from export.forgotten import Change
from export.generative.caption_tiles import caption_tile
from export.generative.passage import Passage
from tests.handmade import encoded


def test_lost_captions_are_red() -> None:
    passage = Passage(encoded(0, "JPEG"), (1,), 4, ("two digits",))
    colours = []
    for before, after in ((1.0, 0.0), (0.0, 0.0), (0.0, 1.0)):
        change = Change(
            index=0,
            truth="two digits",
            before="two",
            after="three",
            seed=0,
            num_seeds=1,
            worth_before=before,
            worth_after=after,
        )
        tile = caption_tile(change, passage, 1)
        assert [line.text for line in tile.lines] == ["truth: two digits", "before: two", "after: three"]
        colours.append(tile.lines[-1].colour)
    assert colours == [WORSE, INK, BETTER]
