"""A variant may leave a smaller part of the task to be done, and nothing else may differ."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from registry.package import MANIFEST_NAME, open_package, seal_package
from tasks.classification import ClassificationSpec
from tasks.errors import InvalidPackage
from tests.handmade import Handmade, build_package


def test_a_variant_without_a_task_has_that_of_the_package(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", Handmade(num_profile=4))
    assert package.task_spec_of("fp32") == package.task_spec


@pytest.mark.parametrize(("change", "accepted"), [({"temperature": 2.0}, True), ({"labels": ["a", "b"]}, False)])
def test_only_the_same_classes_are_accepted(tmp_path: Path, change: dict[str, object], accepted: bool) -> None:
    package = build_package(tmp_path / "package", Handmade(num_profile=4))
    variant = msgspec.structs.replace(package.variant("fp32"), task=msgspec.to_builtins(package.task_spec) | change)
    manifest = msgspec.structs.replace(package.manifest, variants={"fp32": variant}, files={})
    (package.folder / MANIFEST_NAME).unlink()
    if not accepted:
        with pytest.raises(InvalidPackage, match="another kind or other labels"):
            seal_package(package.folder, manifest)
        return
    seal_package(package.folder, manifest)
    own = open_package(package.folder).task_spec_of("fp32")
    assert isinstance(own, ClassificationSpec)
    assert own.temperature == 2.0
