"""The contact sheet of a model of texts: the prompts that it continues otherwise, in Markdown, worst first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from export.forgotten import Change, Forgotten
from export.generative.passage import Passage
from export.table import percent
from tasks.text import decode_text

MAX_PASSAGES = 32
PROMPT_CHARACTERS = 240
"""The end of a prompt that is shown."""


def write_text_sheet(title: Sequence[str], forgotten: Forgotten, passages: Sequence[Passage]) -> bytes:
    """UTF-8. `passages`: in the order in which they were compared."""
    head, *rest = title
    parts = [f"# {head}", *rest, class_table(forgotten)]
    for place, change in enumerate(forgotten.changes[:MAX_PASSAGES]):
        parts.append(describe(place + 1, change, passages[change.index], len(forgotten.seeds)))
    return ("\n\n".join(parts) + "\n").encode()


def class_table(forgotten: Forgotten) -> str:
    """Share of right tokens, before and after."""
    rows = [
        f"| {each.label} | {percent(each.right.trained)} | {percent(each.right.mean)} | {each.change * 100:+.2f} |"
        for each in forgotten.classes
        if each.support
    ]
    return "\n".join(["| tokens | right before | right after | points |", "| --- | --- | --- | --- |", *rows])


def describe(number: int, change: Change, passage: Passage, num_seeds: int) -> str:
    """One prompt with what truly follows, and both continuations."""
    before, after = (bits_per_byte(worth) for worth in (change.worth_before, change.worth_after))
    seeds = f", {change.num_seeds} of {num_seeds} seeds" if num_seeds > 1 else ""
    prompt = decode_text(passage.payload)[-PROMPT_CHARACTERS:]
    sides = (("prompt", prompt), ("truth", change.truth), ("before", change.before), ("after", change.after))
    quoted = [f"{name}\n\n{fence(text)}" for name, text in sides]
    return "\n\n".join([f"## {number}. {before:.3f} → {after:.3f} bits a byte{seeds}", *quoted])


def bits_per_byte(worth: float) -> float:
    return -math.log2(worth) if worth > 0 else math.inf


def fence(text: str) -> str:
    """As it stands, whatever Markdown the text holds: a fence that is longer than any in it."""
    longest = max((len(found) for found in re.findall(r"~+", text)), default=0)
    line = "~" * max(3, longest + 1)
    return f"{line}\n{text}\n{line}"
