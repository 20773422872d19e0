"""The recipe by which a trained model learns on: its own, with more data, from where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tasks.chat_template import ChatTemplate
from training.checkpoint import CheckpointFacts
from training.data.config import DataConfig, FilesConfig, JoinedConfig
from training.data.joined import parts_of
from training.data.source import open_source
from training.language.chat_template_file import CHAT_TEMPLATE_FILE, open_chat_template_file
from training.networks.build import check_model
from training.recipe import NETWORK_KINDS, Recipe, parse_recipe
from training.recipe_file import apply_override
from training.tokenizer_file import TOKENIZER_FILE, keep_tokenizer

MAX_CONVERSATION_CHARACTERS = 1_000_000
"""Far more than any context holds: what a server took, it took within its own limits."""


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

    def chat_template(self) -> ChatTemplate | None:
        """How it is given conversations; None where it takes none."""
        path = self.folder / CHAT_TEMPLATE_FILE
        if not path.is_file():
            return None
        end_of_text = self.recipe.text_config.tokenizer.end_of_text
        return ChatTemplate(path, {"bos_token": end_of_text, "eos_token": end_of_text}, MAX_CONVERSATION_CHARACTERS)


def snapshots_below(keep: Path, data: DataConfig) -> list[Path]:
    """Snapshots of captured requests that a model has learnt from. `keep`: where they are kept."""
    paths = [Path(part.path) for part in parts_of(data) if isinstance(part, FilesConfig)]
    return [path for path in paths if path.is_relative_to(keep)]


def joined_data(known: DataConfig, added: DataConfig, is_new_normal: bool) -> JoinedConfig:
    """What was learnt from, and what was added. A part that is there already is not taken twice. `is_new_normal`: what
    was added alone is what is normal now; else it is one part more of that."""
    before = known if isinstance(known, JoinedConfig) else JoinedConfig(parts=(known,))
    kept, normal = (
        tuple(part for part in parts if part != added)
        for parts in (before.parts, before.parts[max(0, len(before.parts) - before.normal_parts) :])
    )
    num_normal = 1 if is_new_normal else len(normal) + 1 if before.normal_parts else 0
    return JoinedConfig(parts=(*kept, added), repeat=before.repeat, normal_parts=num_normal)


def retraining_recipe(origin: Origin, data: DataConfig, overrides: Sequence[str], learns_on: bool) -> Recipe:
    """The recipe of a model with other data, and `section.field=value` overrides. `learns_on`: from its weights; else
    from new ones, as where overrides draw the splits of its data anew: what is held out then it has learnt from. Words
    keep their tokens: another tokenizer would make it another model. Raises InvalidRecipe."""
    facts: dict[str, Any] = msgspec.to_builtins(origin.recipe)
    facts["data"] = msgspec.to_builtins(data)
    facts["model"]["warm_start"] = origin.reference if learns_on else ""
    words = origin.folder / TOKENIZER_FILE
    if words.is_file():
        facts["text"]["tokenizer"]["path"] = str(keep_tokenizer(words.read_bytes()))
    template = origin.folder / CHAT_TEMPLATE_FILE
    if template.is_file():
        end_of_text = origin.recipe.text_config.tokenizer.end_of_text
        facts["text"]["chat_template"] = str(open_chat_template_file(str(template), end_of_text))
    for override in overrides:
        apply_override(facts, override)
    told = f"the recipe of {origin.reference}" + (f" with {', '.join(overrides)}" if overrides else "")
    recipe = parse_recipe(facts, told)
    if recipe.model.warm_start == origin.reference and not holds_out_the_same(recipe.data, origin.recipe.data):
        recipe = msgspec.structs.replace(recipe, model=msgspec.structs.replace(recipe.model, warm_start=""))
    check_model(recipe.model, NETWORK_KINDS[recipe.task], told)
    return recipe


def holds_out_the_same(data: DataConfig, known: DataConfig) -> bool:
    """Whether every source of the known data is there as it was: seeds and fractions decide what is held out."""
    return all(part in parts_of(data) for part in parts_of(known))
