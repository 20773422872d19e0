"""`tidegate train --search`: which values of a recipe's fields train the best model, architecture included.

Every trial is a training by the recipe with the trial's values, judged by the score that the kind of model watches on
validation data: the test data decides nothing. The winner is then trained by the recipe in full, as `tidegate train`
would, and registered.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import GateFailed, InvalidRecipe, Unsupported
from training.data.source import open_source
from training.history import EpochRecord
from training.kind import open_kind
from training.learner import Learner
from training.recipe import Recipe, load_recipe
from training.recipe_file import RecipeFolder
from training.run import build_learner, epoch_figures, run_fit, run_folder, train
from training.run_notes import STATE_FILE
from training.search.attempt import Attempt
from training.search.network_cost import count_parameters, measure_latency_ms
from training.search.pareto import cost, costs
from training.search.search import Findings, Ledger, Search, run_search
from training.search.space import check_space
from training.search.space_file import SCORE, SearchPlan, check_objectives, load_plan
from training.search.trial import Objective, Result, Trial
from training.tracking import RunTracker
from training.trainer import World

SPACES = RecipeFolder(Path(__file__).parent.parent / "search_spaces", "search space")
LATENCY, SIZE = "latency_ms", "num_parameters"
"""What a space may name as its objectives beside the score."""


@dataclass(frozen=True)
class AskedRecipe:
    """A recipe by name or path with what the user set, so that it can be read again with a trial's values."""

    name_or_path: str
    overrides: tuple[str, ...]

    def load(self, further: Sequence[str] = ()) -> Recipe:
        """Raises InvalidRecipe."""
        return load_recipe(self.name_or_path, [*self.overrides, *further])


def load_training_plan(space: str, recipe: AskedRecipe) -> SearchPlan:
    """The search of this name or path, or of the recipe's task where there is none. Raises InvalidRecipe where the
    recipe does not take what the space holds."""
    task = recipe.load().task
    plan = load_plan(SPACES, space or task)
    check_objectives(plan, (SCORE, LATENCY, SIZE))
    if SCORE not in (plan.objectives or (SCORE,)):
        raise InvalidRecipe(f"{plan.origin}: objectives: without {SCORE} the cheapest network would win untrained")
    check_space(plan.space, lambda values: recipe.load([*plan.trial_overrides, *values]), plan.origin)
    return plan


def search_training(
    recipe: AskedRecipe, plan: SearchPlan, ledger: Ledger, on_trial: Callable[[Trial], None]
) -> Findings:
    """Runs the trials that are missing, and trains and registers the winner. Its facts are those of the conclusion:
    `trial`, `version`, `metrics`. Raises GateFailed where no trial came to figures."""
    if World.from_environment().size > 1:
        raise Unsupported(
            "a search trains each network in one process: start it once on every machine that takes part, with the "
            "same --search-storage, instead of under torchrun"
        )
    basis = recipe.load()
    learner = build_learner(basis, open_kind(basis.task), open_source(basis.data), ledger.tracking_uri)
    objectives = name_objectives(plan, learner)
    search = Search(f"{basis.name}-training-search", plan, objectives, basis, basis.seed)

    def measure(attempt: Attempt, tracker: RunTracker) -> Result:
        folder = ledger.workdir.absolute() / "training" / f"{search.name}-{attempt.number}"
        try:
            own = recipe.load([*plan.trial_overrides, *attempt.overrides])
            return train_trial(own, attempt, tracker, folder, objectives)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def conclude(trials: Sequence[Trial], front: Sequence[Trial]) -> dict[str, Any]:
        best = choose_best(front, objectives, plan.max_score_loss)
        final = recipe.load(best.overrides)
        interrupted = (run_folder(ledger.workdir, final) / STATE_FILE).is_file()
        trained = train(final, workdir=ledger.workdir, tracking_uri=ledger.tracking_uri, resume=interrupted)
        return {"trial": best.number, "version": trained.version, "metrics": trained.metrics}

    return run_search(search, ledger, measure, conclude, on_trial)


def name_objectives(plan: SearchPlan, learner: Learner) -> tuple[Objective, ...]:
    """The plan's objectives, the score first."""
    costs_wanted = [name for name in plan.objectives if name != SCORE]
    return (Objective(learner.monitored, learner.direction), *(Objective(name, "min") for name in costs_wanted))


def train_trial(
    recipe: Recipe, attempt: Attempt, tracker: RunTracker, folder: Path, objectives: Sequence[Objective]
) -> Result:
    """Trains by the recipe; the score is that of the best epoch. Raises Hopeless."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source, kind = open_source(recipe.data), open_kind(recipe.task)
    learner = build_learner(recipe, kind, source, tracker.tracking_uri)
    best = max if learner.direction == "max" else min

    def report(record: EpochRecord) -> None:
        tracker.log_metrics(epoch_figures(record, learner.monitored), record.epoch, round(time.time() * 1000))
        attempt.report(record.epoch, record.score)

    history = run_fit(recipe, kind, learner, source, folder, report, None)
    figures = {
        learner.monitored: best(record.score for record in history),
        SIZE: float(count_parameters(learner.network)),
        "fit_seconds": sum(record.seconds for record in history),
    }
    if LATENCY in [each.name for each in objectives]:
        figures[LATENCY] = measure_latency_ms(learner.network, recipe)
    return Result(figures=figures)


def choose_best(front: Sequence[Trial], objectives: Sequence[Objective], max_score_loss: float) -> Trial:
    """Of those whose score is near enough to the best one, the cheapest. Raises GateFailed where there is none."""
    if not front:
        raise GateFailed("no trial of the search came to figures: see their reasons in the table")
    score, *others = objectives
    limit = min(cost(trial, score) for trial in front) + max_score_loss
    near = [trial for trial in front if cost(trial, score) <= limit]
    return min(near, key=lambda trial: (costs(trial, others), cost(trial, score)))


def command_of(recipe: AskedRecipe, best: Trial) -> str:
    """The command that trains a trial's model in full."""
    words = ["tidegate", "train", recipe.name_or_path]
    for override in (*recipe.overrides, *best.overrides):
        words += ["--set", override]
    return shlex.join(words)
