"""A small language: texts of a handful of words, in files; and a recipe that learns it in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.recipe import Recipe, parse_recipe

WORDS = ("red", "green", "blue", "fish", "bird", "swims", "flies", "slowly", "away")


def write_texts(folder: Path, count: int) -> None:
    """Each a few sentences of article, colour, animal and verb."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        sentences = []
        for _ in range(int(rng.integers(2, 12))):
            animal = int(rng.integers(2))
            sentences.append(
                f"the {WORDS[rng.integers(3)]} {WORDS[3 + animal]} {WORDS[5 + animal]} {WORDS[7 + animal]}."
            )
        (folder / f"{index:03}.txt").write_text("\n".join(sentences))


def tiny_recipe(corpus: Path, **changes: Any) -> Recipe:
    """A decoder of a few thousand weights."""
    facts = {
        "name": "tiny",
        "task": "text_generation",
        "data": {"source": "files", "path": str(corpus)},
        "text": {"context": 24, "tokenizer": {"vocabulary": 280}},
        "model": {"architecture": "llama", "options": {"width": 32, "depth": 1, "heads": 2, "kv_heads": 1}},
        "optimiser": {"learning_rate": 2e-2},
        "schedule": {"epochs": 6, "batch_size": 8},
        **changes,
    }
    return parse_recipe(facts, "tiny")
