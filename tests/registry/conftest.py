"""What the tests of the registry share: one package built by hand, and ways to make others of it without building."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from registry.local_store import LocalStore
from registry.manifest import ClassEvidence, Evidence
from registry.package import ModelPackage, open_package, seal_package
from tests.handmade import Handmade, build_package

Variation = Callable[..., ModelPackage]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Never changed by a test."""
    return build_package(tmp_path_factory.mktemp("built") / "package", Handmade())


@pytest.fixture
def folder(built: ModelPackage, tmp_path: Path) -> Path:
    """A copy of the package to damage."""
    return Path(shutil.copytree(built.folder, tmp_path / "copy"))


@pytest.fixture
def vary(built: ModelPackage, tmp_path: Path) -> Variation:
    """`vary(accuracy=0.9, per_class=…)` → the package resealed with other evidence, under a digest of its own."""

    def make(accuracy: float = 0.95, **changes: Any) -> ModelPackage:
        number = len(list(tmp_path.glob("varied-*")))
        target = Path(shutil.copytree(built.folder, tmp_path / f"varied-{number}"))
        metrics = {"accuracy": accuracy, "trained_accuracy": 0.95, "serial": float(number)}
        return reseal(target, {"metrics": metrics, **changes})

    return make


@pytest.fixture
def store(tmp_path: Path, vary: Variation) -> LocalStore:
    """Four good versions of colours, none promoted."""
    made = LocalStore(tmp_path / "store")
    for _ in range(4):
        made.publish(vary().folder)
    return made


def reseal(folder: Path, changes: Mapping[str, Any]) -> ModelPackage:
    """Write other evidence into every variant."""
    manifest = open_package(folder).manifest
    variants = {
        name: msgspec.structs.replace(variant, evidence=msgspec.structs.replace(variant.evidence, **changes))
        for name, variant in manifest.variants.items()
    }
    return seal_package(folder, msgspec.structs.replace(manifest, variants=variants))


def class_rows(**shares: tuple[float, int]) -> tuple[ClassEvidence, ...]:
    """label=(accuracy, support) → rows of evidence."""
    return tuple(
        ClassEvidence(label=label, support=support, trained=share, variant=share, difference_low=0, difference_high=0)
        for label, (share, support) in shares.items()
    )


def evidence_of(package: ModelPackage) -> Evidence:
    return package.manifest.variants["fp32"].evidence
