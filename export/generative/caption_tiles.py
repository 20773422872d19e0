"""Pictures that a captioner describes otherwise after compression, as tiles of a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence

from export.contact_sheet import BETTER, FADED, INK, WORSE, Line, Tile, draw_sheet
from export.forgotten import Change, Forgotten
from export.generative.passage import Passage


def draw_captions(title: Sequence[str], forgotten: Forgotten, passages: Sequence[Passage]) -> bytes:
    """A PNG. `passages`: in the order in which they were compared."""
    tiles = [caption_tile(change, passages[change.index], len(forgotten.seeds)) for change in forgotten.changes]
    return draw_sheet(title, tiles)


def caption_tile(change: Change, passage: Passage, num_seeds: int) -> Tile:
    """Both captions under their picture; red where the first was right and the second is not."""
    lost, won = change.worth_after < change.worth_before, change.worth_after > change.worth_before
    lines = [
        Line(f"truth: {change.truth}", FADED),
        Line(f"before: {change.before}"),
        Line(f"after: {change.after}", WORSE if lost else BETTER if won else INK),
    ]
    if num_seeds > 1:
        lines.append(Line(f"{change.num_seeds} of {num_seeds} seeds", FADED))
    return Tile((passage.payload,), tuple(lines))
