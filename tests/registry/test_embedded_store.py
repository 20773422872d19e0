"""The embedded store answers as MLflow itself does on the same file, and without importing it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from registry.embedded_store import EmbeddedStore, can_read
from registry.event import PromotionEvent
from registry.lock import LockRecord
from registry.mlflow_store import MlflowStore
from registry.reference import ModelRef
from registry.store import open_store
from tasks.errors import NotFound, NotReady
from tests.forks import DIED, die, forked
from tests.handmade import Handmade, build_package

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddedStore, MlflowStore]:
    """The same database twice; it holds three versions, of which the second was deleted, an event and a claim."""
    root = tmp_path_factory.mktemp("embedded")
    database = root / "mlflow.db"
    uri = f"sqlite:///{database}"
    store = EmbeddedStore(uri, database)
    for shift in (0.0, 0.1, 0.2):
        store.publish(build_package(root / f"built-{shift}", Handmade(shift=shift)).folder)
    store.writer.client.delete_model_version("colours", "2")
    store.set_alias("colours", "champion", "1")
    store.set_alias("colours", "challenger", "3")
    store.append_event(
        PromotionEvent(
            id="1", action="promote", name="colours", alias="champion", version="1", digest="d", previous=None,
            who="me", at="2026-01-01T00:00:00+00:00", force_reason="x" * 9000,
        )
    )  # fmt: skip
    store.put_lock("colours", "key", LockRecord(owner="me", expires_at=1.0))
    return store, store.writer


def test_reading_is_what_mlflow_reads(stores: tuple[EmbeddedStore, MlflowStore]) -> None:
    ours, theirs = stores
    assert ours.names() == theirs.names() == ["colours"]
    assert ours.versions("colours") == theirs.versions("colours")
    assert [info.version for info in ours.versions("colours")] == ["1", "3"]
    assert ours.events("colours") == theirs.events("colours")
    assert ours.lock_records("colours") == theirs.lock_records("colours")
    for text in ("colours", "colours@challenger", "colours/3"):
        assert ours.resolve(ModelRef.parse(text)) == theirs.resolve(ModelRef.parse(text))


@pytest.mark.parametrize("text", ["nobody", "colours@nobody", "colours/2", "colours/9"])
def test_what_is_not_there_is_not_found_by_either(stores: tuple[EmbeddedStore, MlflowStore], text: str) -> None:
    for store in stores:
        with pytest.raises(NotFound):
            store.resolve(ModelRef.parse(text))


def test_a_fetched_package_is_the_registered_one(stores: tuple[EmbeddedStore, MlflowStore], tmp_path: Path) -> None:
    found = stores[0].resolve(ModelRef.parse("colours/3"))
    assert stores[0].fetch(found, tmp_path / "cache").digest == found.digest


def test_reading_needs_no_mlflow(stores: tuple[EmbeddedStore, MlflowStore], tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules["mlflow"] = None
from registry.store import ModelRef, open_store
store = open_store({stores[0].uri!r})
store.events("colours")
print(store.fetch(store.resolve(ModelRef.parse("colours")), Path({str(tmp_path)!r})).manifest.name)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "colours\n"


def test_a_store_that_is_not_there_is_empty_and_stays_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert store.names() == []
    with pytest.raises(NotFound):
        store.versions("colours")
    assert not list(tmp_path.iterdir())


def test_a_database_of_another_release_is_left_to_mlflow(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('of-the-future')")
    assert not can_read(database)
    database.write_bytes(b"no database at all, and long enough to be sure of it")
    assert not can_read(database)


def test_a_writer_that_was_killed_keeps_nobody_from_reading(
    stores: tuple[EmbeddedStore, MlflowStore], tmp_path: Path
) -> None:
    database = Path(shutil.copy(stores[0].database, tmp_path))

    def write_half() -> None:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("CREATE TABLE grown (content TEXT)")
        connection.executemany("INSERT INTO grown VALUES (?)", [("x" * 1000,)] * 1000)
        die()

    assert forked(write_half) == [DIED]
    assert database.with_name("mlflow.db-journal").exists()
    assert can_read(database)
    assert EmbeddedStore(f"sqlite:///{database}", database).versions("colours") == stores[0].versions("colours")


def test_reading_is_all_that_its_connections_can_do(stores: tuple[EmbeddedStore, MlflowStore]) -> None:
    with pytest.raises(NotReady, match="readonly"):
        stores[0].rows("DELETE FROM registered_models")
