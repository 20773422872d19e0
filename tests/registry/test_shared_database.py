"""Who comes to a database together with others: waits where it is a file, tries again where it is a server's."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from registry.shared_database import MAX_COLLISIONS, alone_with, among_others
from tasks.errors import NotReady
from tests.forks import forked

NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter and none but its owner may write to; pytest's are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-shared-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def use_as_stranger(file: Path) -> None:
    """As a user to whom modes of files mean something, which they do not to root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with alone_with(file):
        pass


def is_held(lock: Path) -> bool:
    with lock.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["only read", "closed"])
def test_a_lock_of_another_user_turns_nobody_away(shared: Path, mode: int) -> None:
    file, lock = shared / "mlflow.db", shared / "mlflow.db.lock"
    file.touch()
    lock.touch()
    lock.chmod(mode)
    assert forked(lambda: use_as_stranger(file)) == [0]


def test_a_file_in_a_folder_that_is_only_read_needs_no_lock(shared: Path) -> None:
    (shared / "mlflow.db").touch()
    shared.chmod(0o555)
    assert forked(lambda: use_as_stranger(shared / "mlflow.db")) == [0]
    assert [path.name for path in shared.iterdir()] == ["mlflow.db"]


def test_one_that_is_only_read_is_held_all_the_same(shared: Path) -> None:
    lock = shared / "mlflow.db.lock"
    lock.touch()
    lock.chmod(0o444)
    with alone_with(shared / "mlflow.db"):
        assert is_held(lock)
    assert not is_held(lock)


def test_two_names_of_a_file_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "big" / "whole.db")
    with alone_with(tmp_path / "mlflow.db"):
        assert is_held(tmp_path / "big" / "whole.db.lock")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_volume_without_locks_is_said_to_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NotReady, match=r"mlflow\.db\.lock can not be locked .*: this volume has no file locks"):
        alone_with(tmp_path / "mlflow.db").__enter__()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'server.db'}")
    yield made
    made.dispose()


def test_a_table_that_another_has_just_made_is_found_the_next_time(engine: Engine) -> None:
    """SQLite says it as MySQL does: as an error of operation."""
    missing = ["studies", "trials", "versions"]

    def connect() -> str:
        if not missing:
            return "connected"
        with engine.begin() as another:
            another.exec_driver_sql(f"create table {missing[0]} (id integer)")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"create table {missing.pop(0)} (id integer)")
        pytest.fail("made twice")

    assert among_others(connect) == "connected"


def words(told: object) -> str:
    """What a server, or a migration, said."""
    return str(getattr(told, "orig", told))


@pytest.mark.parametrize(
    "error",
    [
        ProgrammingError("CREATE", {}, Exception('relation "trials" already exists')),
        ProgrammingError("INSERT", {}, Exception("duplicate key value violates unique constraint")),
        ProgrammingError("ALTER", {}, Exception("tuple concurrently updated")),
        OperationalError("CREATE", {}, Exception(1050, "Table 'trials' already exists")),
        OperationalError("ALTER", {}, Exception(1060, "Duplicate column name 'state'")),
        OperationalError("ALTER", {}, Exception(1213, "Deadlock found when trying to get lock")),
    ],
    ids=words,
)
def test_a_collision_may_come_many_times(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.shared_database.time.sleep", lambda seconds: None)
    assert among_others(Raising(*[error] * MAX_COLLISIONS)) == "connected"


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (ProgrammingError("CREATE", {}, Exception("permission denied for schema public")), 2),
        (CommandError("Can't locate revision identified by 'abc'"), 2),
        (OperationalError("", {}, Exception("connection refused")), 1),
    ],
    ids=words,
)
def test_a_refusal_is_told_soon(error: Exception, times: int) -> None:
    refusing = Raising(*[error] * MAX_COLLISIONS)
    with pytest.raises(type(error)) as told:
        among_others(refusing)
    assert told.value is error
    assert refusing.times == times


def test_what_servers_say_in_other_languages_is_tried_again() -> None:
    tables = [
        ProgrammingError("CREATE", {}, Exception(f"Relation »{name}« existiert bereits")) for name in ("a", "b", "c")
    ]
    assert among_others(Raising(*tables)) == "connected"


class Raising:
    """Raises these one after the other, and then nothing. `times`: how often it was called."""

    def __init__(self, *errors: Exception) -> None:
        self._errors, self.times = list(errors), 0

    def __call__(self) -> str:
        self.times += 1
        if self._errors:
            raise self._errors.pop(0)
        return "connected"
