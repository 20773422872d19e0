"""The tracking URI: which MLflow the training runs and the packages are recorded in. Imports no MLflow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tasks.errors import BadInput

HOME = Path(".tidegate")
"""The embedded store, in the working directory: mlflow.db and the folder of artifacts."""
EXPERIMENT = "tidegate"

ARTIFACT_ROOT_VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
"""MLflow's own name, of the option of its server."""

PASSWORD = re.compile(r"(://[^/@:]*:)[^@]*(@)")
"""Of an address: what stands between the user's name and the host."""
TRACKING_SCHEMES = ("http://", "https://", "sqlite:///", "postgresql", "mysql", "mssql", "databricks")


def tracking_uri(location: str | None = None) -> str:
    """What was asked for, or MLFLOW_TRACKING_URI, or else the embedded database of the working directory."""
    return location or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(HOME / 'mlflow.db').resolve()}"


def is_tracking_uri(location: str) -> bool:
    """An MLflow server or database, as opposed to a folder of packages?"""
    return location.startswith(TRACKING_SCHEMES)


def database_file(uri: str) -> Path | None:
    """The file of an sqlite URI: sqlite:///relative or sqlite:////absolute, one slash belongs to the notation. What
    follows a question mark are options of its driver."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def without_password(uri: str) -> str:
    """The same for messages and logs, which more people read than may know a password."""
    return PASSWORD.sub(r"\g<1>…\g<2>", uri)


def artifact_location(uri: str, folder: Path | None = None) -> str | None:
    """Where a new experiment keeps its artifacts; None where a tracking server decides.

    Those of an embedded database go into `folder`, or else into one beside it. Another database is shared by machines,
    so its artifacts go where all of them reach: raises BadInput unless MLFLOW_DEFAULT_ARTIFACT_ROOT says where that is.
    """
    if uri.startswith("http"):
        return None
    database = database_file(uri)
    if database is not None:
        return (folder or database.resolve().parent / "artifacts").absolute().as_uri()
    root = os.environ.get(ARTIFACT_ROOT_VARIABLE)
    if not root:
        raise BadInput(
            f"{uri.partition('://')[0]}://… is a database without a server in front of it, which knows no place for "
            f"artifacts: set {ARTIFACT_ROOT_VARIABLE} to one that every machine reaches (s3://bucket/folder, or a "
            "shared folder), or use an MLflow server (http://…)"
        )
    return root


def faults_of(uri: str) -> tuple[type[Exception], ...]:
    """What says that a store does not answer, beside MLflow's own errors: those of the network, and of a database."""
    if uri.startswith("http"):
        return (OSError,)
    from sqlalchemy.exc import SQLAlchemyError

    return (OSError, SQLAlchemyError)
