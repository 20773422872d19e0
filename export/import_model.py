"""`tidegate import`: a model that was trained elsewhere, through the same verification and the same gates."""

from __future__ import annotations

from pathlib import Path

from export.import_facts import ImportFacts
from export.pipeline import export_subject
from export.recipe import ExportRecipe
from registry.package import ModelPackage
from tasks.errors import BadInput


def import_model(path: Path, facts: ImportFacts, samples: Path, recipe: ExportRecipe, output: Path) -> ModelPackage:
    """An ONNX file, or a transformers folder → a sealed package in the new folder `output`.

    `samples`: a folder with one folder of pictures for each label. Raises BadInput where these do not belong together,
    GateFailed where a variant is too far from the unmodified model.
    """
    if path.is_dir() and (path / "config.json").is_file():
        from export.transformers_subject import subject_of_transformers

        return export_subject(subject_of_transformers(path, facts, samples), recipe, output)
    if path.is_file() and path.suffix == ".onnx":
        return import_onnx(path, facts, samples, recipe, output)
    raise BadInput(f"{path} is neither an .onnx file nor a transformers folder with a config.json")


def import_onnx(path: Path, facts: ImportFacts, samples: Path, recipe: ExportRecipe, output: Path) -> ModelPackage:
    """An ONNX classifier → a sealed package. Raises as `import_model` does."""
    from export.onnx_subject import subject_of_onnx

    return export_subject(subject_of_onnx(path, facts, samples), recipe, output)
