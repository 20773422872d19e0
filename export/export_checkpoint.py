"""`tidegate export`: a trained checkpoint of any kind → a package."""

from __future__ import annotations

from pathlib import Path

from export.generative.recipe import GenerativeRecipe
from export.recipe import AnyRecipe, ExportRecipe
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.task import is_generative


def export_checkpoint(checkpoint_folder: Path, recipe: AnyRecipe, output: Path, *, run_id: str = "") -> ModelPackage:
    """A sealed package in the new folder `output`. `run_id`: the run that the checkpoint is registered under, where it
    does not say. Raises InvalidRecipe for a recipe of another kind of model, GateFailed, BadInput."""
    from training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(checkpoint_folder)
    kind = str(checkpoint.task_spec.__struct_config__.tag)
    if is_generative(kind):
        from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject
        from export.generative.pipeline import export_generative

        return export_generative(generative_subject(checkpoint, run_id), generative_recipe(recipe, kind), output)
    from export.pipeline import export_subject
    from export.torch_subject import subject_of_checkpoint

    return export_subject(subject_of_checkpoint(checkpoint, run_id), single_shot_recipe(recipe, kind), output)


def generative_recipe(recipe: AnyRecipe, kind: str) -> GenerativeRecipe:
    """Raises InvalidRecipe for one of models that answer at once."""
    if not isinstance(recipe, GenerativeRecipe):
        raise InvalidRecipe(f'a model of {kind} answers token by token: it takes a recipe with protocol = "generative"')
    return recipe


def single_shot_recipe(recipe: AnyRecipe, kind: str) -> ExportRecipe:
    """Raises InvalidRecipe for one of models that answer token by token."""
    if not isinstance(recipe, ExportRecipe):
        raise InvalidRecipe(f'a model of {kind} answers at once: it takes a recipe without protocol = "generative"')
    return recipe
