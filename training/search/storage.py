"""Where a search keeps its trials: a database beside the models, or one that several machines share."""

from __future__ import annotations

import warnings
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from sqlalchemy import Connection, event
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from registry.tracking import database_file
from tasks.errors import BadInput, NotReady

HEARTBEAT_SECONDS = 5
SILENT_SECONDS = 30
"""A trial whose process has given no sign of life for so long is taken to be dead, and measured again."""
MAX_RETRIES = 3
"""A trial that kills its process every time (memory, say) is given up after so many."""
BUSY_SECONDS = 60
"""How long one process waits for another to be done with an embedded database."""
DATABASE = "search.db"


def default_storage(workdir: Path) -> str:
    """The database of the searches of a working directory."""
    return f"sqlite:///{(workdir / DATABASE).absolute()}"


def open_storage(
    url: str, heartbeat_seconds: int = HEARTBEAT_SECONDS, silent_seconds: int = SILENT_SECONDS
) -> optuna.storages.RDBStorage:
    """A database by its SQLAlchemy URL. Its tables are made where they are missing. Raises BadInput for a URL that
    means nothing here, NotReady for a database that does not answer."""
    file = database_file(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            return connect(url, heartbeat_seconds, silent_seconds)
        except OperationalError:
            # Two processes that both found no tables both make them, and the second one fails.
            return connect(url, heartbeat_seconds, silent_seconds)
    except (ImportError, ArgumentError) as error:
        raise BadInput(
            f"{url}: no database to keep a search in ({error}); give a SQLAlchemy URL whose driver is installed, such "
            "as sqlite:////shared/search.db or postgresql+psycopg://user@host/name"
        ) from error
    except SQLAlchemyError as error:
        raise NotReady(f"{url}: the database of the search can not be used: {error}") from error


def connect(url: str, heartbeat_seconds: int, silent_seconds: int) -> optuna.storages.RDBStorage:
    """Raises what SQLAlchemy raises."""
    is_embedded = database_file(url) is not None
    embedded = {"connect_args": {"timeout": BUSY_SECONDS, "isolation_level": None}} if is_embedded else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            url,
            engine_kwargs=embedded,
            heartbeat_interval=heartbeat_seconds,
            grace_period=silent_seconds,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(MAX_RETRIES),
        )
    if is_embedded:
        event.listen(storage.engine, "begin", lock_database)
    return storage


def lock_database(connection: Connection) -> None:
    """SQLite knows no rows that are locked until they are written: of two that read that a trial waits to be taken
    both would take it. So a transaction has the database from its start."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
