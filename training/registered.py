"""Finds a trained model again: the checkpoint behind a registered "<name>-trained"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from registry.tracking import database_file, without_password
from tasks.errors import NotFound

SUFFIX = "-trained"


class RegisteredCheckpoint(NamedTuple):
    """A checkpoint folder on this machine, and the registered version that it is."""

    folder: Path
    name: str
    version: int
    run_id: str


def newest_checkpoint(tracking_uri: str, reference: str, download_to: Path) -> RegisteredCheckpoint:
    """The newest of `newest_checkpoints`. Raises NotFound."""
    return next(newest_checkpoints(tracking_uri, reference, download_to))


def newest_checkpoints(tracking_uri: str, reference: str, download_to: Path) -> Iterator[RegisteredCheckpoint]:
    """Every version of "<name>-trained" for "name", one for "name/version", newest first, each copied into a folder of
    `download_to` when it is asked for. Raises NotFound."""
    for each in find_versions(tracking_uri, reference):
        target = download_to / str(each.version)
        target.mkdir()
        folder = mlflow.artifacts.download_artifacts(each.source, dst_path=str(target), tracking_uri=tracking_uri)
        yield RegisteredCheckpoint(Path(folder), each.name, int(each.version), each.run_id)


def find_versions(tracking_uri: str, reference: str) -> list[ModelVersion]:
    """The versions that a reference ("name" or "name/version") means, newest first. Raises NotFound where there is
    none."""
    name, _, version = reference.partition("/")
    registered = f"{name}{SUFFIX}"
    database = database_file(tracking_uri)
    # A question must not create a database: that takes seconds and leaves files behind.
    missing = database is not None and not database.exists()
    found = [] if missing else MlflowClient(tracking_uri, tracking_uri).search_model_versions(f"name = '{registered}'")
    if not found:
        raise NotFound(
            f"no trained model {registered!r} in {without_password(tracking_uri)}: train one first, "
            f"tidegate train {name}"
        )
    ordered = sorted(found, key=lambda each: int(each.version), reverse=True)
    wanted = [each for each in ordered if version in ("", str(each.version))]
    if not wanted:
        known = ", ".join(str(each.version) for each in ordered)
        raise NotFound(f"{registered!r} has no version {version}; there are: {known}")
    return wanted


def version_of_run(tracking_uri: str, name: str, run_id: str) -> int:
    """The version of "<name>-trained" that a run made. Raises NotFound."""
    for each in find_versions(tracking_uri, name):
        if each.run_id == run_id:
            return int(each.version)
    raise NotFound(
        f"the training of this version of {name!r} (run {run_id}) is not in {without_password(tracking_uri)} any more; "
        f"train the model again: tidegate train {name}"
    )
