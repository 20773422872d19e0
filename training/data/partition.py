"""Cutting labelled things into train, validation and test, at random and with every class in proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from training.data.config import FilesConfig
from training.data.source import SPLITS, Example, MemorySplit, SplitName

Item = TypeVar("Item")


def partition_examples(
    examples: Sequence[Example], fractions: Mapping[str, float], seed: int
) -> dict[SplitName, MemorySplit]:
    """Pictures of one class each, cut as by `partition_indices`."""
    targets = [example.target for example in examples if isinstance(example.target, int)]
    parts = partition_indices(targets, fractions, seed)
    return {name: MemorySplit(examples[i] for i in part) for name, part in parts.items()}


def partition_indices(
    targets: Sequence[int], fractions: Mapping[str, float], seed: int
) -> dict[SplitName, tuple[int, ...]]:
    """Indices of each split. `fractions` gives the share of "validation" and "test"; training takes what is left.

    Stratified: of every class each held-out split gets its share, rounded, and training keeps at least one.
    """
    rng = np.random.default_rng(seed)
    parts: dict[SplitName, list[int]] = {"train": [], "validation": [], "test": []}
    by_class = np.asarray(targets)
    for target in np.unique(by_class):
        members = rng.permutation(np.flatnonzero(by_class == target)).tolist()
        for name in ("validation", "test"):
            count = min(round(fractions.get(name, 0.0) * np.count_nonzero(by_class == target)), len(members) - 1)
            parts[name] += members[:count]
            members = members[count:]
        parts["train"] += members
    return {name: tuple(sorted(members)) for name, members in parts.items()}


def draw_missing(
    parts: Mapping[SplitName, Sequence[Item]], targets: Sequence[int], config: FilesConfig
) -> dict[SplitName, Sequence[Item]]:
    """All three splits: what `parts` lacks of validation and test is drawn from its training data, whose classes are
    `targets`."""
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    missing = {name: fraction for name, fraction in fractions.items() if name not in parts}
    training = parts["train"]
    drawn = {
        name: [training[i] for i in part] for name, part in partition_indices(targets, missing, config.seed).items()
    }
    return {name: drawn[name] if name == "train" or name in missing else parts[name] for name in SPLITS}
