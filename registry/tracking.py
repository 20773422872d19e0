"""The tracking URI: which MLflow the training runs and the packages are recorded in. Imports no MLflow."""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(".tidegate")
"""The embedded store, in the working directory: mlflow.db and the folder of artifacts."""
EXPERIMENT = "tidegate"

TRACKING_SCHEMES = ("http://", "https://", "sqlite:///", "postgresql", "mysql", "mssql", "databricks")


def tracking_uri(location: str | None = None) -> str:
    """What was asked for, or MLFLOW_TRACKING_URI, or else the embedded database of the working directory."""
    return location or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(HOME / 'mlflow.db').resolve()}"


def is_tracking_uri(location: str) -> bool:
    """An MLflow server or database, as opposed to a folder of packages?"""
    return location.startswith(TRACKING_SCHEMES)


def database_file(uri: str) -> Path | None:
    """The file of an sqlite URI: sqlite:///relative or sqlite:////absolute, one slash belongs to the notation."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
