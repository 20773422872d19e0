"""A store whose champion a run has made, for tests of retraining it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from registry.local_store import LocalStore
from registry.package import ModelPackage, seal_package
from registry.promotion import promote
from registry.reference import ModelRef, VersionInfo
from tests.handmade import Handmade, build_package

EXPORT = {"description": "how the champion was exported"}
PARENT, RUN = "run-of-the-champion", "run-of-the-retraining"


class StoreOfRuns(LocalStore):
    """A folder of packages that says which run made each, as MLflow does."""

    def versions(self, name: str) -> list[VersionInfo]:
        found = super().versions(name)
        return [msgspec.structs.replace(one, run_id=self.fetch(one, Path()).manifest.lineage.run_id) for one in found]


def publish(store: LocalStore, folder: Path, run_id: str, shift: float = 0.0, **changes: Any) -> VersionInfo:
    """A version that a run has made."""
    package = build_package(folder, Handmade(max_batch=2, num_golden=1, num_profile=8, shift=shift))
    lineage = msgspec.structs.replace(package.manifest.lineage, run_id=run_id, recipe={"export": EXPORT})
    manifest = msgspec.structs.replace(package.manifest, lineage=lineage, **changes)
    return store.publish(seal_package(folder, manifest).folder, run_id)


def promote_version(store: LocalStore, version: str) -> None:
    promote(store, ModelRef(name="colours", version=version), cache=Path("cache"), who="ann")


def champion_of(store: LocalStore) -> ModelPackage:
    return store.fetch(store.resolve(ModelRef.parse("colours")), Path("cache"))


def holders(store: LocalStore) -> dict[str, str]:
    return {alias: info.version for info in store.versions("colours") for alias in info.aliases}
