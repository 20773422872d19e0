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
    """A package, which has the name of its full recipe, and what tells that recipe from the quick one."""

    name: str
    metric: str
    minimum: float


FULLY_TRAINED: Mapping[str, FullTraining] = {
    "classification": FullTraining(DIGITS, "accuracy", 0.95),
    "detection": FullTraining(DETECTOR, "ap", 0.5),
    "segmentation": FullTraining(SEGMENTER, "miou", 0.55),
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
    full = FULLY_TRAINED[kind]

    def is_good(package: ModelPackage) -> bool:
        evidence = next(iter(package.manifest.variants.values())).evidence
        return evidence.metrics[full.metric] >= full.minimum

    return trained_package(full.name, full.name, kind, is_good)


def detector_package(folder: Path) -> None:
    """The newest detector of scenes, however short its training was; a quick one is made if there is none."""
    shutil.copytree(trained_package(DETECTOR, f"{DETECTOR}-quick", "detection-quick"), folder)


def segmenter_package(folder: Path) -> None:
    """The newest segmenter of scenes, likewise."""
    shutil.copytree(trained_package(SEGMENTER, f"{SEGMENTER}-quick", "segmentation-quick"), folder)


def trained_package(
    name: str, recipe: str, export_recipe: str, is_good: Callable[[ModelPackage], bool] = lambda package: True
) -> Path:
    """The newest good package of that name in the store; trained and exported by these recipes if there is none."""
    from export.recipe import load_export_recipe
    from registry.store import open_store
    from registry.tracking import HOME
    from tidegate.lifecycle import export_model, train_model
    from training.recipe import load_recipe

    store = open_store()
    for info in reversed(store.versions(name) if name in store.names() else []):
        package = store.fetch(info, HOME / "cache")
        if is_good(package):
            return package.folder
    train_model(load_recipe(recipe), None)
    return export_model(name, load_export_recipe(export_recipe), None)[0].folder


BUILDERS: Mapping[str, Callable[[Path], object]] = {
    TINY: tiny_package,
    RESNET: resnet_package,
    DETECTOR: detector_package,
    SEGMENTER: segmenter_package,
}
"""The models of the serving benchmark, each built into a folder."""
