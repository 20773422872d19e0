"""A new database of MLflow, to which several come at once, and in which one dies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from mlflow.store.db import utils as schema

from registry.mlflow_client import experiment_id, open_client
from registry.mlflow_store import MlflowStore
from registry.store import open_store
from tests.forks import DIED, die, forked
from training.tracking import RunTracker


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def train(uri: str, workdir: Path) -> None:
    RunTracker.start(uri, workdir, "together", {}).end("FINISHED")


def register(uri: str) -> None:
    MlflowStore(uri).mark_registered("colours")


def look(uri: str) -> None:
    """As a server does while others write for the first time."""
    while not open_store(uri).names():
        pass


def test_whoever_comes_first_all_find_it_whole(uri: str, tmp_path: Path) -> None:
    ended = forked(partial(train, uri, tmp_path), partial(register, uri), partial(look, uri))
    assert ended == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_one_that_is_killed_leaves_no_half_of_it(uri: str, tmp_path: Path) -> None:
    def begin() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "_upgrade_db", die)
            open_client(uri)

    assert forked(begin) == [DIED]
    assert open_store(uri).names() == []
    register(uri)
    assert open_store(uri).names() == ["colours"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_a_file_of_no_bytes_is_no_database_yet(uri: str, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    register(uri)
    assert open_store(uri).names() == ["colours"]


def test_a_link_stays_one_and_options_of_the_driver_are_no_part_of_its_name(uri: str, tmp_path: Path) -> None:
    link, whole = tmp_path / "mlflow.db", tmp_path / "big" / "whole.db"
    link.symlink_to(whole)
    register(f"{uri}?timeout=60")
    assert open_store(f"{uri}?timeout=60").names() == open_store(f"sqlite:///{whole}").names() == ["colours"]
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["big", "mlflow.db", "whole.db", "whole.db.lock"]


def test_all_find_the_same_new_experiment(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(uri)
    known: list[str] = []

    def made_by_another(create: Callable[..., str], name: str, location: str) -> str:
        known.append(create(name, location))
        return create(name, location)

    monkeypatch.setattr(client, "create_experiment", partial(made_by_another, client.create_experiment))
    assert experiment_id(client, uri, "ours", tmp_path / "artifacts") == known[0]
