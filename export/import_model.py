"""`tidegate import`: a model that was trained elsewhere, through the same verification and the same gates."""

from __future__ import annotations

from pathlib import Path

import msgspec

from export.export_checkpoint import generative_recipe, single_shot_recipe
from export.import_facts import ImportFacts
from export.pipeline import export_subject
from export.recipe import AnyRecipe, ExportRecipe
from export.subject import Subject
from registry.package import ModelPackage
from tasks.detection import DetectionSpec
from tasks.errors import BadInput, InvalidRecipe


def import_model(path: Path, facts: ImportFacts, samples: Path, recipe: AnyRecipe, output: Path) -> ModelPackage:
    """An ONNX file, or a transformers folder → a sealed package in the new folder `output`.

    `samples`: annotated pictures, see import_samples.py, or texts. Raises BadInput where these do not belong together,
    GateFailed where a variant is too far from the unmodified model.
    """
    if path.is_dir() and (path / "config.json").is_file():
        if facts.task == "text_generation":
            from export.generative.import_llama import import_llama

            return import_llama(path, facts, samples, generative_recipe(recipe, facts.task), output)
        from export.transformers_subject import subject_of_transformers

        subject = subject_of_transformers(path, facts, samples)
        return export_subject(subject, fitting_recipe(single_shot_recipe(recipe, facts.task), subject), output)
    if path.is_file() and path.suffix == ".onnx":
        return import_onnx(path, facts, samples, recipe, output)
    raise BadInput(f"{path} is neither an .onnx file nor a transformers folder with a config.json")


def import_onnx(path: Path, facts: ImportFacts, samples: Path, recipe: AnyRecipe, output: Path) -> ModelPackage:
    """An ONNX classifier → a sealed package. Raises as `import_model` does."""
    if facts.task != "classification":
        raise BadInput(
            f"an .onnx file does not say how it answers a task of {facts.task}: import the transformers folder that it "
            "was made from"
        )
    from export.onnx_subject import subject_of_onnx

    return export_subject(subject_of_onnx(path, facts, samples), single_shot_recipe(recipe, facts.task), output)


def fitting_recipe(recipe: ExportRecipe, subject: Subject) -> ExportRecipe:
    """Without the variants that carry suppression in their graph, for a model that has nothing to suppress. Raises
    InvalidRecipe where none is left."""
    if not isinstance(subject.task_spec, DetectionSpec) or subject.task_spec.suppression != "none":
        return recipe
    variants = {name: each for name, each in recipe.variants.items() if each.suppression is None}
    if not variants:
        raise InvalidRecipe(f"{subject.name} needs no suppression, and the recipe has no variant without it")
    return msgspec.structs.replace(recipe, variants=variants)
