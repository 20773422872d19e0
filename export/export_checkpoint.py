"""`tidegate export`: a trained checkpoint of any kind → a package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from export.compress.steps import check_sense
from export.generative.recipe import GenerativeRecipe
from export.recipe import AnyRecipe, ExportRecipe
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.task import is_generative
from training.data.config import DataConfig
from training.data.joined import known_examples
from training.recipe import TaskName
from training.recipe_file import convert_tables

if TYPE_CHECKING:
    from export.rival import Rival
    from export.subject import Examples


def export_checkpoint(
    checkpoint_folder: Path, recipe: AnyRecipe, output: Path, *, run_id: str = "", rival: ModelPackage | None = None
) -> ModelPackage:
    """A sealed package in the new folder `output`. `run_id`: the run that the checkpoint is registered under, where it
    does not say. `rival`: see `export.rival`. Raises InvalidRecipe for a recipe of another kind of model, GateFailed,
    BadInput."""
    from training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(checkpoint_folder)
    task = checkpoint.recipe.task
    if is_generative(task):
        from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject
        from export.generative.pipeline import export_generative

        talker = generative_subject(checkpoint, run_id)
        beside = rival_of(rival, checkpoint.recipe.data, talker.held_out)
        return export_generative(talker, generative_recipe(recipe, task), output, beside)
    from export.pipeline import export_subject
    from export.torch_subject import subject_of_checkpoint

    subject = subject_of_checkpoint(checkpoint, run_id)
    beside = rival_of(rival, checkpoint.recipe.data, subject.data.held_out)
    return export_subject(subject, single_shot_recipe(recipe, task), output, beside)


def rival_of(package: ModelPackage | None, data: DataConfig, held_out: Examples) -> Rival | None:
    """Another package, and which of the examples that are held out of `data` its model's data have too."""
    if package is None:
        return None
    from export.rival import Rival

    table = package.manifest.lineage.recipe.get("training", {}).get("data")
    told = f"the recipe of the package {package.digest[:12]}"
    known: DataConfig = data if table is None else convert_tables(table, DataConfig, told)  # type: ignore[arg-type]
    return Rival(package, known_examples(data, held_out, known))


def generative_recipe(recipe: AnyRecipe, task: TaskName) -> GenerativeRecipe:
    """Raises InvalidRecipe for one of models that answer at once, and for steps that make no sense here."""
    if not isinstance(recipe, GenerativeRecipe):
        raise InvalidRecipe(f'a model of {task} answers token by token: it takes a recipe with protocol = "generative"')
    check_variants(recipe, task)
    return recipe


def single_shot_recipe(recipe: AnyRecipe, task: TaskName) -> ExportRecipe:
    """Raises InvalidRecipe for one of models that answer token by token, and for steps that make no sense here."""
    if not isinstance(recipe, ExportRecipe):
        raise InvalidRecipe(f'a model of {task} answers at once: it takes a recipe without protocol = "generative"')
    check_variants(recipe, task)
    return recipe


def check_variants(recipe: AnyRecipe, task: TaskName) -> None:
    """Raises InvalidRecipe for a step that makes no sense for models of this task, saying why."""
    for name, variant in recipe.variants.items():
        check_sense(variant.steps, task, f"variant {name!r}")
