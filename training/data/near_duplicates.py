"""Texts that say nearly the same: found by the runs of words that they share (Broder, 1997)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

SHINGLE = 5
"""Words in a run."""
MAX_SHARED = 0.5
"""Largest part of a text's runs that a longer one may have too."""
WORD = re.compile(r"\w+")


def find_originals(texts: Sequence[str]) -> list[int]:
    """Indices, in order, of the texts to keep so that none of them is the same as a longer one or nearly so: by letters
    and digits alone, whatever their case, and by runs of SHINGLE words, of which they share MAX_SHARED at most. Of
    two that are the same the first is kept.
    """
    runs = [word_runs(text) for text in texts]
    owners: dict[tuple[str, ...], list[int]] = defaultdict(list)
    kept = []
    for index in sorted(range(len(texts)), key=lambda i: (-len(runs[i]), i)):
        shared = Counter(owner for run in runs[index] for owner in owners.get(run, ()))
        if max(shared.values(), default=0) > MAX_SHARED * len(runs[index]):
            continue
        for run in runs[index]:
            owners[run].append(index)
        kept.append(index)
    return sorted(kept)


def drop_repeated_paragraphs(texts: Sequence[str]) -> list[str]:
    """The texts without the paragraphs of SHINGLE words or more that an earlier paragraph says in the same words. A
    text may become empty."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for text in texts:
        fresh = []
        for paragraph in text.split("\n\n"):
            words = tuple(WORD.findall(paragraph.casefold()))
            if len(words) < SHINGLE or words not in seen:
                fresh.append(paragraph)
            seen.add(words)
        kept.append("\n\n".join(fresh).strip("\n"))
    return kept


def word_runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of SHINGLE words; a shorter text is one run itself."""
    words = WORD.findall(text.casefold())
    return frozenset(tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))
