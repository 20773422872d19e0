"""The sentences that are right for each picture of a split."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.errors import InvalidRecipe
from training.data.annotation import Annotation
from training.data.source import AnnotatedSource, DataSource, Split


def check_captions(source: DataSource) -> None:
    """Raises InvalidRecipe for a source whose pictures have no captions."""
    first = next(iter(source.split("train").targets), None) if isinstance(source, AnnotatedSource) else None
    if not isinstance(first, Annotation) or not first.captions:
        raise InvalidRecipe(
            "a captioner learns from sentences, and this data has none; scenes have captions with data.max_digits "
            "above 1, and coco_captions always"
        )


def references_of(split: Split) -> list[tuple[str, ...]]:
    """One or more for each picture, in order."""
    found: list[tuple[str, ...]] = []
    for target in split.targets:
        assert isinstance(target, Annotation)
        found.append(target.captions)
    return found


def longest_in_words(references: Sequence[Sequence[str]]) -> list[int]:
    """Of each picture, the words of its longest reference."""
    return [max(len(sentence.split()) for sentence in right) for right in references]
