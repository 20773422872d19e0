"""The recipe by which a trained model learns on: its own, with more data, from where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from training.checkpoint import CheckpointFacts
from training.data.config import DataConfig, JoinedConfig
from training.data.source import open_source
from training.networks.build import check_model
from training.recipe import NETWORK_KINDS, Recipe, parse_recipe
from training.recipe_file import apply_override
from training.tokenizer_file import TOKENIZER_FILE, keep_tokenizer


@dataclass(frozen=True)
class Origin:
    """The trained model that is to learn on. `reference`: "name/version", as a warm start names it."""

    reference: str
    folder: Path
    facts: CheckpointFacts

    @property
    def recipe(self) -> Recipe:
        """What it was trained by. Raises InvalidRecipe."""
        return parse_recipe(self.facts.recipe, f"the recipe of {self.reference}")

    def has_its_data(self) -> bool:
        """Whether the data of its recipe are what they were. Where they are not, splits are drawn anew, and what is
        held out now may have been learnt from then."""
        return open_source(self.recipe.data).digest == self.facts.dataset_digest


def joined_data(known: DataConfig, added: DataConfig, is_new_normal: bool) -> JoinedConfig:
    """What was learnt from, and what was added. A part that is there already is not taken twice."""
    before = known.parts if isinstance(known, JoinedConfig) else (known,)
    repeat = known.repeat if isinstance(known, JoinedConfig) else 1
    parts = (*(part for part in before if part != added), added)
    return JoinedConfig(parts=parts, repeat=repeat, normal="last" if is_new_normal else "all")


def retraining_recipe(origin: Origin, data: DataConfig, overrides: Sequence[str], learns_on: bool) -> Recipe:
    """The recipe of a model with other data, and `section.field=value` overrides. `learns_on`: from its weights; else
    from new ones. Words keep their tokens: another tokenizer would make it another model. Raises InvalidRecipe."""
    facts: dict[str, Any] = msgspec.to_builtins(origin.recipe)
    facts["data"] = msgspec.to_builtins(data)
    facts["model"]["warm_start"] = origin.reference if learns_on else ""
    words = origin.folder / TOKENIZER_FILE
    if words.is_file():
        facts["text"]["tokenizer"]["path"] = str(keep_tokenizer(words.read_bytes()))
    for override in overrides:
        apply_override(facts, override)
    told = f"the recipe of {origin.reference}" + (f" with {', '.join(overrides)}" if overrides else "")
    recipe = parse_recipe(facts, told)
    check_model(recipe.model, NETWORK_KINDS[recipe.task], told)
    return recipe
