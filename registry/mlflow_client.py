"""The way into an MLflow: a client of its server, or of a database, which is made where there is none yet.

MLflow makes a database by dozens of migrations, one after the other. Of two processes that both go that way in one
sqlite file each breaks what the other did; and where one was killed on it, for which there are seconds, nobody can go
on. So an embedded database is made by one process, under another name, and has its own once it is whole.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

# Read when mlflow is imported: this project talks to nobody it was not told to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.shared_database import alone_with, among_others
from registry.tracking import artifact_location, database_file


def open_client(uri: str) -> MlflowClient:
    """Of a tracking server or a database. Raises what MLflow, the database and its file raise."""
    file = database_file(uri)
    if file is not None:
        return open_embedded(uri, file)
    connect = partial(MlflowClient, uri, uri)
    return connect() if uri.startswith("http") else among_others(connect)


def open_embedded(uri: str, file: Path) -> MlflowClient:
    """Of a database that is a file. MLflow of a later release brings the tables up to date, which is for one alone."""
    with alone_with(file):
        # One of no bytes is one that has no tables.
        if not file.exists() or not file.stat().st_size:
            # The other end of a link, which stays one.
            make_whole(uri, file.resolve())
        return MlflowClient(uri, uri)


def make_whole(uri: str, file: Path) -> None:
    """A database with all tables and nothing in it, made with the options of its URI."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import make_url

    unfinished = file.with_name(f".{file.name}.unfinished")
    for left in file.parent.glob(f"{unfinished.name}*"):
        left.unlink()  # by one that was killed
    address = make_url(uri).set(database=str(unfinished)).render_as_string(hide_password=False)
    made = SqlAlchemyStore(address, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    made.engine.dispose()
    unfinished.rename(file)


def experiment_id(client: MlflowClient, uri: str, name: str, folder: Path | None = None) -> str:
    """The experiment of this name, made where it is missing. `folder`: where the artifacts of an embedded database go,
    if not beside it. Raises BadInput where there is no place for them."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without a place of its own MLflow would put its artifacts into `./mlruns` of the working directory.
    location = artifact_location(uri, folder)
    try:
        return str(client.create_experiment(name, location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)
