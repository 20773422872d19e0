"""A checkpoint: the folder that training hands to export. None of its files can carry code.

model.safetensors   the weights
checkpoint.json     the task, the recipe, the network to build for the weights, and where all of it came from
                    and the files that the task names, where it needs some: tokenizer.json
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tasks.errors import InvalidPackage, InvalidRecipe
from tasks.task import TaskSpec, parse_spec
from training.kind import open_kind
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.recipe import Recipe, parse_recipe

SCHEMA_VERSION = 1
WEIGHTS_FILE, FACTS_FILE = "model.safetensors", "checkpoint.json"
MAX_REASON_LENGTH = 240


class CheckpointFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """checkpoint.json. `network` builds the model without a download; the recipe may name pretrained weights."""

    schema_version: int = SCHEMA_VERSION
    task: dict[str, Any]
    recipe: dict[str, Any]
    network: ModelConfig
    dataset_digest: str
    split_sizes: dict[str, int]
    git_commit: str
    libraries: dict[str, str]
    metrics: dict[str, float]
    run_id: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready to be evaluated or exported: `module` is in evaluation mode, on the CPU."""

    module: Trainable
    task_spec: TaskSpec
    recipe: Recipe
    facts: CheckpointFacts
    folder: Path
    """Where the files lie that the task names."""


def save_checkpoint(folder: Path, module: Trainable, facts: CheckpointFacts, assets: Sequence[Path] = ()) -> None:
    """Writes a checkpoint, with copies of the files that its task names; the folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for asset in assets:
        shutil.copyfile(asset, folder / asset.name)
    save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, folder / WEIGHTS_FILE)
    (folder / FACTS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Reads a checkpoint. Raises InvalidPackage saying what is missing or does not fit."""
    facts = read_facts(folder)
    try:
        recipe = parse_recipe(facts.recipe, str(folder / FACTS_FILE))
        task_spec = parse_spec(facts.task)
        module = open_kind(recipe.task).network(facts.network, task_spec)
        module.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except InvalidRecipe as error:
        raise InvalidPackage(str(error)) from error
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch names every tensor of the network.
        reason = textwrap.shorten(str(error), MAX_REASON_LENGTH)
        raise InvalidPackage(
            f"{folder / WEIGHTS_FILE}: the weights do not fit the recipe; train the model again, or use the release "
            f"that wrote it ({reason})"
        ) from error
    return Checkpoint(module.eval(), task_spec, recipe, facts, folder)


def read_facts(folder: Path) -> CheckpointFacts:
    """checkpoint.json alone, without building the network. Raises InvalidPackage."""
    path = folder / FACTS_FILE
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=CheckpointFacts)
    except OSError as error:
        raise InvalidPackage(f"{path}: cannot be read ({error}); a checkpoint folder is made by training") from error
    except msgspec.DecodeError as error:
        raise InvalidPackage(f"{path}: {error}") from error
    if facts.schema_version != SCHEMA_VERSION:
        raise InvalidPackage(f"{path}: schema version {facts.schema_version}, this program reads {SCHEMA_VERSION}")
    return facts
