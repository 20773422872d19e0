"""Finds a trained model again: the checkpoint behind a registered "<name>-trained"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from registry.tracking import database_file
from tasks.errors import NotFound

SUFFIX = "-trained"


class RegisteredCheckpoint(NamedTuple):
    """A checkpoint folder on this machine, and where it came from."""

    folder: Path
    version: int
    run_id: str


def newest_checkpoint(tracking_uri: str, name: str, download_to: Path) -> RegisteredCheckpoint:
    """The newest version of "<name>-trained", copied into `download_to`. Raises NotFound."""
    return next(newest_checkpoints(tracking_uri, name, download_to))


def newest_checkpoints(tracking_uri: str, name: str, download_to: Path) -> Iterator[RegisteredCheckpoint]:
    """Every version of "<name>-trained", newest first, each copied when it is asked for. Raises NotFound."""
    for each in find_versions(tracking_uri, name):
        target = download_to / str(each.version)
        target.mkdir()
        folder = mlflow.artifacts.download_artifacts(each.source, dst_path=str(target), tracking_uri=tracking_uri)
        yield RegisteredCheckpoint(Path(folder), int(each.version), each.run_id)


def find_versions(tracking_uri: str, name: str) -> list[ModelVersion]:
    """All versions of "<name>-trained", newest first. Raises NotFound where there is none."""
    registered = f"{name}{SUFFIX}"
    database = database_file(tracking_uri)
    # A question must not create a database: that takes seconds and leaves files behind.
    missing = database is not None and not database.exists()
    found = [] if missing else MlflowClient(tracking_uri, tracking_uri).search_model_versions(f"name = '{registered}'")
    if not found:
        raise NotFound(f"no trained model {registered!r} in {tracking_uri}: train one first, tidegate train {name}")
    return sorted(found, key=lambda version: int(version.version), reverse=True)
