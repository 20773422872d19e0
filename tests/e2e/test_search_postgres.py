"""A search whose trials lie in a real PostgreSQL, as several machines share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.postgres_server import PostgresServer, start_postgres
from tests.search_trials import ignore, open_at_once
from training.search import study as study_module
from training.search.space import Choices, Dimension, SearchSpace
from training.search.storage import open_storage
from training.search.study import Study
from training.search.trial import Objective, Result

pytestmark = pytest.mark.e2e

WIDTHS = SearchSpace((Dimension("width", Choices((4, 8, 16))),), {})


@pytest.fixture(scope="module")
def postgres(require_tool: Callable[[str], str]) -> Iterator[PostgresServer]:
    with start_postgres(require_tool, ("together", "killed")) as started:
        yield started


@pytest.fixture
def url_of(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """By the name of an empty database."""
    for name, value in postgres.variables.items():
        monkeypatch.setenv(name, value)
    return postgres.uri


def test_machines_that_begin_together_all_find_the_tables(url_of: Callable[[str], str]) -> None:
    assert open_at_once(url_of("together"), 8) == []


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_what_was_killed_before_its_first_sign_of_life_is_measured_again(
    url_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_module, "POLL_SECONDS", 0.2)

    def joined() -> Study:
        storage = open_storage(url_of("killed"), heartbeat_seconds=1, silent_seconds=1)
        return Study(storage, "test", WIDTHS, (Objective("score", "max"),), num_trials=3, seed=0)

    joined()._study.ask()
    study = joined()
    study.run(lambda attempt: Result(figures={"score": 1.0}), ignore)
    assert sorted(trial.overrides for trial in study.trials()) == [("width=16",), ("width=4",), ("width=8",)]
