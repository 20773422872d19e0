"""The package store: what the rest of the project knows about where packages are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from registry.embedded_store import EmbeddedStore, can_read
from registry.event import PromotionEvent
from registry.local_store import LocalStore
from registry.lock import LockRecords
from registry.package import ModelPackage
from registry.reference import ModelRef, VersionInfo
from registry.tracking import database_file, is_tracking_uri, tracking_uri
from tasks.errors import NotFound

__all__ = ["LocalStore", "ModelRef", "PackageStore", "VersionInfo", "newest", "open_store"]


class PackageStore(LockRecords, Protocol):
    """Packages by name, version and alias. Calls block, and may come from any thread.

    Every method raises NotReady when the backend can not be reached, so that a server keeps what it has.
    """

    def names(self) -> list[str]:
        """Every model with at least one version, sorted."""
        ...

    def versions(self, name: str) -> list[VersionInfo]:
        """Oldest first. Raises NotFound for a model that is not there."""
        ...

    def resolve(self, ref: ModelRef) -> VersionInfo:
        """The version that a reference means now. Raises NotFound, with what there is."""
        ...

    def fetch(self, info: VersionInfo, cache: Path) -> ModelPackage:
        """The package, verified against the digest it was registered with; `cache` is where a copy may be kept.

        Raises InvalidPackage, or NotFound when the version was deleted since."""
        ...

    def publish(self, folder: Path, run_id: str = "", tags: Mapping[str, str] | None = None) -> VersionInfo:
        """Register a sealed package as the next version of the model it names. No alias is moved."""
        ...

    def set_alias(self, name: str, alias: str, version: str) -> None: ...

    def delete_alias(self, name: str, alias: str) -> None: ...

    def events(self, name: str) -> list[PromotionEvent]:
        """Oldest first; none for a model that is not there."""
        ...

    def append_event(self, event: PromotionEvent) -> None: ...


def newest(store: PackageStore, name: str) -> VersionInfo:
    """The version registered last. Raises NotFound."""
    versions = store.versions(name)
    if not versions:
        raise NotFound(f"model {name!r} has no version in {store}; register one with tidegate export")
    return versions[-1]


def open_store(location: str | None = None) -> PackageStore:
    """The store at a tracking URI (sqlite:///…, http://…) or in a folder of packages.

    None: MLFLOW_TRACKING_URI, or else the embedded store in `.tidegate/` of the working directory.
    """
    location = tracking_uri(location)
    if not is_tracking_uri(location):
        return LocalStore(Path(location.removeprefix("file://")))
    database = database_file(location)
    if database is not None and can_read(database):
        return EmbeddedStore(location, database)
    # Importing MLflow takes two seconds: not before it is sure to be needed.
    from registry.mlflow_store import MlflowStore

    return MlflowStore(location)
