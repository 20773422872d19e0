"""A search from beginning to end: trials as nested MLflow runs under one run of the search, then what came of them."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from training.search.attempt import Attempt
from training.search.pareto import front_of
from training.search.report import write_report
from training.search.space_file import SearchPlan
from training.search.storage import default_storage, open_storage
from training.search.study import Study
from training.search.trial import Hopeless, Objective, Result, Trial
from training.tracking import RunTracker

STUDY_TAG, MEMBER_TAG, STATE_TAG, REASON_TAG = (f"tidegate.search.{name}" for name in ("name", "of", "state", "reason"))
MAX_TAG_CHARACTERS = 4_000


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search is written down. `storage_url` is empty for the database of the working directory."""

    workdir: Path
    tracking_uri: str
    storage_url: str = ""


@dataclass(frozen=True)
class Search:
    """What is searched. `what` the search is called in MLflow; `seed` decides what is tried; `basis`: all else that
    trials depend on (a recipe, a model), since another basis makes another search."""

    what: str
    plan: SearchPlan
    objectives: tuple[Objective, ...]
    basis: Any
    seed: int

    @property
    def name(self) -> str:
        """The same search has the same name, wherever and whenever it is started."""
        facts = (self.basis, self.plan.space, self.plan.trial_overrides, self.objectives)
        digest = hashlib.sha256(msgspec.json.encode(facts, order="deterministic", enc_hook=str)).hexdigest()
        return f"{self.what}-{digest[:12]}"


@dataclass(frozen=True)
class Findings:
    """What a search found. `front`: the trials that nothing beats in every respect; `conclusion`: what its conclusion
    noted, empty where another process is at it."""

    objectives: tuple[Objective, ...]
    trials: list[Trial]
    front: list[Trial]
    conclusion: dict[str, Any]
    run_id: str


MeasureTracked = Callable[[Attempt, RunTracker], Result]
"""Measures one trial, and writes to its MLflow run."""
Conclude = Callable[[Sequence[Trial], Sequence[Trial]], dict[str, Any]]
"""All trials and the front → facts worth noting: makes the winner."""


def run_search(
    search: Search, ledger: Ledger, measure: MeasureTracked, conclude: Conclude, on_trial: Callable[[Trial], None]
) -> Findings:
    """Measures what is not measured yet, alone or with other processes, and draws the conclusion if that falls to this
    one. `on_trial` hears of every trial that ends here."""
    storage = open_storage(ledger.storage_url or default_storage(ledger.workdir))
    plan = search.plan
    study = Study(storage, search.name, plan.space, search.objectives, plan.num_trials, search.seed)
    tags = {"mlflow.runName": search.name, STUDY_TAG: search.name}
    tracker = RunTracker.join(ledger.tracking_uri, ledger.workdir, search.what, tags, STUDY_TAG)
    try:
        study.run(lambda attempt: measure_tracked(attempt, search, ledger, tracker, measure), on_trial)
        trials = study.trials()
        front = front_of(trials, search.objectives)
        if study.closes_here():
            with tempfile.TemporaryDirectory() as folder:
                write_report(trials, front, search.objectives, Path(folder))
                tracker.log_folder(Path(folder), "search")
            study.conclude(conclude(trials, front))
    except BaseException as error:
        tracker.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracker.end("FINISHED")
    return Findings(search.objectives, trials, front, study.conclusion(), tracker.run_id)


def measure_tracked(
    attempt: Attempt, search: Search, ledger: Ledger, parent: RunTracker, measure: MeasureTracked
) -> Result:
    """One trial as a run of its own below that of the search."""
    tags = {"mlflow.parentRunId": parent.run_id, "mlflow.runName": f"trial {attempt.number}", MEMBER_TAG: search.name}
    tracker = RunTracker.start(ledger.tracking_uri, ledger.workdir, search.what, tags)
    tracker.log_params(dict(each.split("=", 1) for each in attempt.overrides))
    try:
        result = measure(attempt, tracker)
    except BaseException as error:
        tracker.tag(STATE_TAG, "pruned" if isinstance(error, Hopeless) else "failed")
        tracker.tag(REASON_TAG, f"{type(error).__name__}: {error}"[:MAX_TAG_CHARACTERS])
        tracker.end("KILLED" if isinstance(error, Hopeless) or not isinstance(error, Exception) else "FAILED")
        raise
    tracker.log_metrics(result.figures, 0, round(time.time() * 1000))
    tracker.tag(STATE_TAG, "missed" if result.missed else "measured")
    if result.missed:
        tracker.tag(REASON_TAG, "; ".join(result.missed)[:MAX_TAG_CHARACTERS])
    tracker.end("FINISHED")
    return msgspec.structs.replace(result, run_id=tracker.run_id)
