"""Studies without a training: what is tried, what counts, and what becomes of a search that was interrupted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from tasks.errors import InvalidRecipe, NotReady
from tests.search_trials import ignore
from training.search import study as study_module
from training.search.attempt import Attempt, SuggestedDraw
from training.search.space import Choices, Dimension, Range, SearchSpace
from training.search.storage import open_storage
from training.search.study import Study
from training.search.trial import Objective, Result, Trial

RATES = SearchSpace((Dimension("rate", Range(0.0, 1.0)), Dimension("width", Choices((8, 16)))), {})
GRID = SearchSpace(
    (Dimension("width", Choices((8, 16))),),
    {"block": {"plain": (), "deep": (Dimension("depth", Choices((2, 3)), "block=deep"),)}},
)
SCORE = (Objective("score", "max"),)


def make_study(
    space: SearchSpace = RATES,
    objectives: Sequence[Objective] = SCORE,
    num_trials: int = 6,
    storage: optuna.storages.BaseStorage | None = None,
) -> Study:
    return Study(storage or optuna.storages.InMemoryStorage(), "test", space, objectives, num_trials, seed=0)


def rate_of(attempt: Attempt) -> float:
    return float(attempt.overrides[0].removeprefix("rate="))


def near_a_third(attempt: Attempt) -> Result:
    return Result(figures={"score": -((rate_of(attempt) - 0.3) ** 2), "cost": rate_of(attempt)})


def tried(study: Study) -> list[tuple[str, ...]]:
    return [trial.overrides for trial in study.trials()]


def test_later_trials_are_nearer_to_what_was_good() -> None:
    study = make_study(num_trials=40)
    study.run(near_a_third, ignore)
    scores = [trial.figures["score"] for trial in study.trials()]
    assert len(scores) == 40
    assert sum(scores[-10:]) > 3 * sum(scores[:10])


def test_a_small_space_is_tried_whole_and_nothing_twice() -> None:
    study, heard = make_study(GRID, num_trials=50), list[Trial]()
    study.run(lambda attempt: Result(figures={"score": 1.0}), heard.append)
    assert sorted(tried(study)) == sorted(
        [(f"width={width}", *depth) for width in (8, 16) for depth in ((), ("depth=2",), ("depth=3",))]
    )
    assert len(heard) == 6


def test_nothing_is_measured_twice_where_there_is_more_than_is_tried() -> None:
    study = make_study(GRID, num_trials=5)
    study.run(lambda attempt: Result(figures={"score": 1.0}), ignore)
    assert len(set(tried(study))) == len(tried(study)) == 5


def test_an_interrupted_search_goes_on_as_it_would_have() -> None:
    whole = make_study(num_trials=16)
    whole.run(near_a_third, ignore)
    storage = optuna.storages.InMemoryStorage()
    make_study(num_trials=11, storage=storage).run(near_a_third, ignore)
    resumed = make_study(num_trials=16, storage=storage)
    heard: list[Trial] = []
    resumed.run(near_a_third, heard.append)
    assert len(heard) == 5
    assert tried(resumed) == tried(whole)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(1)])
def test_what_was_interrupted_is_measured_again(interruption: BaseException) -> None:
    storage, interrupted = optuna.storages.InMemoryStorage(), list[tuple[str, ...]]()

    def measure(attempt: Attempt) -> Result:
        if attempt.number == 2 and not interrupted:
            interrupted.append(attempt.overrides)
            raise interruption
        return near_a_third(attempt)

    study = make_study(num_trials=4, storage=storage)
    with pytest.raises(KeyboardInterrupt):
        study.run(measure, ignore)
    assert len(study.trials()) == 2
    study = make_study(num_trials=4, storage=storage)
    study.run(measure, ignore)
    assert len(study.trials()) == 4
    assert interrupted[0] in tried(study)


def test_an_error_costs_its_trial_and_not_the_search() -> None:
    def measure(attempt: Attempt) -> Result:
        if attempt.number == 1:
            raise RuntimeError("out of memory")
        return near_a_third(attempt)

    study = make_study()
    study.run(measure, ignore)
    assert [trial.state for trial in study.trials()] == ["measured", "failed", *["measured"] * 4]
    assert study.trials()[1].reason == "RuntimeError: out of memory"


def test_no_number_is_no_score() -> None:
    study = make_study(num_trials=3)
    study.run(lambda attempt: Result(figures={"score": float("nan") if attempt.number == 1 else 1.0}), ignore)
    assert [trial.state for trial in study.trials()] == ["measured", "failed", "measured"]
    assert "score came out as no number" in study.trials()[1].reason


def test_errors_in_a_row_end_the_search_and_are_forgiven_when_it_goes_on() -> None:
    storage = optuna.storages.InMemoryStorage()

    def broken(attempt: Attempt) -> Result:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        make_study(storage=storage).run(broken, ignore)
    study = make_study(storage=storage)
    study.run(near_a_third, ignore)
    assert [trial.state for trial in study.trials()] == ["measured"] * 6


def test_recipes_that_can_not_be_do_not_end_the_search() -> None:
    def measure(attempt: Attempt) -> Result:
        raise InvalidRecipe("no layer saves anything by it")

    study = make_study()
    study.run(measure, ignore)
    assert [trial.state for trial in study.trials()] == ["failed"] * 6


def test_what_is_worse_than_the_others_is_given_up() -> None:
    def measure(attempt: Attempt) -> Result:
        level = 0.0 if attempt.number == 6 else 1.0
        for epoch in (1, 2, 3, 4):
            attempt.report(epoch, level)
        return Result(figures={"score": level})

    study = make_study(num_trials=8)
    study.run(measure, ignore)
    assert [trial.number for trial in study.trials() if trial.state == "pruned"] == [6]
    assert "worse than the median after 2 epochs" in study.trials()[6].reason


def test_gates_that_do_not_hold_are_noted_and_avoided() -> None:
    def measure(attempt: Attempt) -> Result:
        missed = ("num_bytes 9 > 8",) if rate_of(attempt) > 0.5 else ()
        return Result(figures={"score": rate_of(attempt)}, missed=missed)

    study = make_study(num_trials=40)
    study.run(measure, ignore)
    trials = study.trials()
    assert {trial.state for trial in trials} == {"measured", "missed"}
    assert next(trial for trial in trials if trial.state == "missed").reason == "num_bytes 9 > 8"
    late = [float(trial.overrides[0].removeprefix("rate=")) for trial in trials[20:]]
    assert sum(late) / len(late) < 0.7, "the best scores lie behind the gate, at 1"


def test_the_conclusion_is_drawn_once_and_is_void_after_further_trials() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = make_study(storage=storage)
    assert not study.closes_here(), "there is nothing to conclude from"
    study.run(near_a_third, ignore)
    assert study.closes_here()
    assert make_study(storage=storage).closes_here(), "whoever comes along takes over what nobody concluded"
    study.conclude({"version": 3})
    assert not study.closes_here()
    again = make_study(storage=storage)
    assert not again.closes_here()
    assert again.conclusion()["version"] == 3
    more = make_study(storage=storage, num_trials=7)
    more.run(near_a_third, ignore)
    assert more.closes_here()


def test_two_that_search_together_share_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "POLL_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'search.db'}"
    studies = [make_study(GRID, num_trials=6, storage=open_storage(url)) for _ in range(2)]
    measured: list[tuple[str, ...]] = []
    both = threading.Barrier(2)

    def measure(attempt: Attempt) -> Result:
        if not measured:
            both.wait(timeout=30)
        measured.append(attempt.overrides)
        return Result(figures={"score": 1.0})

    threads = [threading.Thread(target=study.run, args=(measure, ignore)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(measured) == sorted(tried(studies[0])) == sorted(tried(studies[1]))
    assert len(measured) == 6
    assert [study.closes_here() for study in studies].count(True) == 1


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@pytest.mark.parametrize("gave_signs_of_life", [True, False])
def test_a_dead_process_leaves_its_trial_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gave_signs_of_life: bool
) -> None:
    monkeypatch.setattr(study_module, "POLL_SECONDS", 0.2)
    url = f"sqlite:///{tmp_path / 'search.db'}"
    dead = make_study(num_trials=3, storage=open_storage(url))
    # What a killed process leaves: a trial that runs, and a heartbeat that does not come again, or never came.
    trial = dead._study.ask()
    lost = RATES.assign(SuggestedDraw(trial))
    if gave_signs_of_life:
        dead._study._storage._backend.record_heartbeat(trial._trial_id)
    study = make_study(num_trials=3, storage=open_storage(url, heartbeat_seconds=1, silent_seconds=1))
    study.run(near_a_third, ignore)
    assert len(study.trials()) == 3
    assert lost in tried(study)


def test_a_database_that_breaks_on_the_way_is_said_to_be_at_fault(tmp_path: Path) -> None:
    study = make_study(storage=open_storage(f"sqlite:///{tmp_path / 'search.db'}"))
    with closing(sqlite3.connect(tmp_path / "search.db")) as connection:
        connection.execute("drop table trial_heartbeats")
    with pytest.raises(NotReady, match=r"search test: its database can not be used any more: .*no such table"):
        study.run(near_a_third, ignore)
