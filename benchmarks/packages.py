"""The models of the benchmarks: one too small to matter, one of the size of ResNet-18, and some that were trained."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import onnx

from registry.package import ModelPackage
from tasks.classification import ClassificationSpec
from tasks.image import ImageSpec
from tests.handmade import Handmade, build_package, package_around

TINY, RESNET, DIGITS = "tiny", "resnet18", "digits"
DETECTOR, SEGMENTER = "scenes-detection", "scenes-segmentation"


class FullTraining(NamedTuple):
    """A package, which has the name of its full recipe, and what tells that recipe from the quick one beside the
    size of its pictures. `after`: the recipe whose backbone it starts from."""

    name: str
    metric: str
    minimum: float
    after: str = ""


FULLY_TRAINED: Mapping[str, FullTraining] = {
    "classification": FullTraining(DIGITS, "accuracy", 0.95),
    "detection": FullTraining(DETECTOR, "ap", 0.5, after="digits-quick"),
    "segmentation": FullTraining(SEGMENTER, "miou", 0.68, after="digits-quick"),
}
"""By kind of task."""


def tiny_package(folder: Path) -> ModelPackage:
    """64×64 pictures (12,288 bytes of tensor), about 0.02 ms at batch 1."""
    return build_package(folder, Handmade(name=TINY, size=64, max_batch=32))


def resnet_package(folder: Path) -> ModelPackage:
    """ResNet-18 at 224×224 with random weights: the arithmetic is what is measured."""
    from export.to_onnx import write_onnx
    from training.networks.build import build_classifier
    from training.networks.config import ModelConfig

    image = ImageSpec(height=224, width=224, fit="crop")
    spec = ClassificationSpec(labels=tuple(f"class {i}" for i in range(1000)), image=image)
    module = build_classifier(ModelConfig(architecture="resnet", options={}), len(spec.labels), image).eval()
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "model.onnx"
        write_onnx(module, image, ["logits", "embedding"], graph)
        return package_around(folder, spec, onnx.load(graph), Handmade(name=RESNET, max_batch=8, num_profile=16))


def fully_trained_package(kind: str) -> Path:
    """The newest package of a kind that is as good as its full recipe makes it; trained and exported now if there is
    none (five to twenty minutes)."""
    from registry.store import open_store
    from registry.tracking import HOME
    from training.recipe import load_recipe

    full, store = FULLY_TRAINED[kind], open_store()
    image = load_recipe(full.name).image_spec
    for info in reversed(store.versions(full.name) if full.name in store.names() else []):
        package = store.fetch(info, HOME / "cache")
        evidence = next(iter(package.manifest.variants.values())).evidence
        is_full = (image.height, image.width) in package.manifest.image_sizes
        if is_full and evidence.metrics[full.metric] >= full.minimum:
            return package.folder
    return make_package(kind)


def make_package(kind: str) -> Path:
    """Trained by the full recipe, over the backbone that it starts from, exported and registered as a user would."""
    from export.recipe import NamedRecipe
    from tidegate.lifecycle import export_model, train_model
    from training.recipe import load_recipe

    full = FULLY_TRAINED[kind]
    if full.after:
        train_model(load_recipe(full.after), None)
    train_model(load_recipe(full.name), None)
    return export_model(full.name, NamedRecipe(kind), None)[0].folder


def detector_package(folder: Path) -> None:
    shutil.copytree(fully_trained_package("detection"), folder)


def segmenter_package(folder: Path) -> None:
    shutil.copytree(fully_trained_package("segmentation"), folder)


BUILDERS: Mapping[str, Callable[[Path], object]] = {
    TINY: tiny_package,
    RESNET: resnet_package,
    DETECTOR: detector_package,
    SEGMENTER: segmenter_package,
}
"""The models of the serving benchmark, each built into a folder."""
