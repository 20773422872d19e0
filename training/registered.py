"""Finds a trained model again: the checkpoint behind a registered "<name>-trained"."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import mlflow.artifacts
from mlflow import MlflowClient

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
    registered = f"{name}{SUFFIX}"
    database = database_file(tracking_uri)
    # A question must not create a database: that takes seconds and leaves files behind.
    missing = database is not None and not database.exists()
    client = MlflowClient(tracking_uri, tracking_uri)
    found = [] if missing else client.search_model_versions(f"name = '{registered}'")
    if not found:
        raise NotFound(f"no trained model {registered!r} in {tracking_uri}: tidegate train one first")
    newest = max(found, key=lambda version: int(version.version))
    folder = mlflow.artifacts.download_artifacts(newest.source, dst_path=str(download_to), tracking_uri=tracking_uri)
    return RegisteredCheckpoint(Path(folder), int(newest.version), newest.run_id)
