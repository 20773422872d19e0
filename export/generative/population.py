"""Variants of a model that generates, made again from other seeds: see `export.population`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from export.compress.steps import network_steps
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from export.generative.variants import GraphFiles, write_variants
from export.population import is_drawn


def write_population(subject: GenerativeSubject, recipe: GenerativeRecipe, folder: Path) -> dict[str, list[GraphFiles]]:
    """Variant → the graphs of the same from every seed after the first; none where nothing is drawn. Steps that change
    decoder graphs are not: they see no data."""
    drawn = {name: each for name, each in recipe.variants.items() if is_drawn(network_steps(each.steps))}
    found: dict[str, list[GraphFiles]] = {name: [] for name in recipe.variants}
    if not drawn or subject.learning is None:
        return found
    again = msgspec.structs.replace(recipe, variants=drawn)
    for seed in range(1, recipe.num_seeds):
        output = folder / f"seed-{seed}"
        output.mkdir()
        reseeded = replace(subject, learning=replace(subject.learning, seed=seed))
        description = f"compressing again, seed {seed + 1} of {recipe.num_seeds}"
        for name, graphs in write_variants(reseeded, again, output, description).items():
            found[name].append(graphs)
    return found
