"""Where a search keeps its trials: a database beside the models, or one that several machines share."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from registry.shared_database import alone_with, among_others
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

WITHOUT_A_SIGN_OF_LIFE = text("""
    select trial_id from trials
    where study_id = :study and state = 'RUNNING' and trial_id not in (select trial_id from trial_heartbeats)
""")


class WatchfulStorage(optuna.storages.RDBStorage):  # type: ignore[misc]
    """Optuna's, which also sees the trials of processes that died before their first sign of life."""

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Optuna passes over trials without a sign of life, and whoever waits for such a one waits for ever. Here
        they get their first one from whoever looks: it grows old unless their process lives to give others. (No start
        of a trial is compared with a clock: machines disagree about the time.) Raises StorageInternalError, as Optuna
        does."""
        try:
            with self.engine.connect() as connection:
                silent = connection.execute(WITHOUT_A_SIGN_OF_LIFE, {"study": study_id}).scalars().all()
        except SQLAlchemyError as error:
            raise StorageInternalError(f"no telling which of its trials are alive: {error}") from error
        for trial_id in silent:
            self.record_heartbeat(trial_id)
        stale: list[int] = super()._get_stale_trial_ids(study_id)
        return stale


def default_storage(workdir: Path) -> str:
    """The database of the searches of a working directory."""
    return f"sqlite:///{(workdir / DATABASE).absolute()}"


def open_storage(
    url: str, heartbeat_seconds: int = HEARTBEAT_SECONDS, silent_seconds: int = SILENT_SECONDS
) -> WatchfulStorage:
    """A database by its SQLAlchemy URL. Its tables are made where they are missing, by as many processes at once as
    there are. Raises BadInput for a URL that means nothing here, NotReady for a database that does not answer."""
    file = database_file(url)
    try:
        with nullcontext() if file is None else alone_with(file):
            return connect(url, heartbeat_seconds, silent_seconds)
    except (ImportError, ArgumentError, ValueError) as error:
        raise BadInput(
            f"{url}: no database to keep a search in ({error}); give a SQLAlchemy URL whose driver is installed, such "
            "as sqlite:////shared/search.db or postgresql+psycopg://user@host/name"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise NotReady(f"{url}: the database of the search can not be used: {error}") from error


def connect(url: str, heartbeat_seconds: int, silent_seconds: int) -> WatchfulStorage:
    """Raises what SQLAlchemy raises."""
    is_embedded = database_file(url) is not None
    embedded = {"connect_args": {"timeout": BUSY_SECONDS, "isolation_level": None}} if is_embedded else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        make = partial(
            WatchfulStorage,
            url,
            engine_kwargs=embedded,
            heartbeat_interval=heartbeat_seconds,
            grace_period=silent_seconds,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(MAX_RETRIES),
        )
        storage = make() if is_embedded else among_others(make)
    if is_embedded:
        event.listen(storage.engine, "begin", lock_database)
    return storage


def lock_database(connection: Connection) -> None:
    """SQLite knows no rows that are locked until they are written: of two that read that a trial waits to be taken
    both would take it. So a transaction has the database from its start."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
