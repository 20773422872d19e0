"""`tidegate export`: a trained checkpoint of any kind → a package."""

from __future__ import annotations

from pathlib import Path

from export.compress.steps import check_sense
from export.generative.recipe import GenerativeRecipe
from export.recipe import AnyRecipe, ExportRecipe
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.task import is_generative
from training.recipe import TaskName


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

        return export_generative(generative_subject(checkpoint, run_id), generative_recipe(recipe, task), output, rival)
    from export.pipeline import export_subject
    from export.torch_subject import subject_of_checkpoint

    return export_subject(subject_of_checkpoint(checkpoint, run_id), single_shot_recipe(recipe, task), output, rival)


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
