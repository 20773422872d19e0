"""`tidegate export --search`: which steps make the fastest variant of a trained model that passes its gates.

Every trial builds one variant by the recipe with the trial's values, and weighs it on validation data. Then the fastest
that missed no gate is exported by the recipe in full; on the test data it has to pass once more, or the next one is
tried.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.export_checkpoint import generative_recipe, single_shot_recipe
from export.recipe import AnyRecipe, NamedRecipe
from export.seal import NOISE_SHARE
from export.search.bench import LATENCY, SIZE, Bench
from registry.package import ModelPackage
from registry.store import VersionInfo
from tasks.errors import GateFailed, InvalidRecipe
from tasks.task import is_generative
from training.recipe import TaskName
from training.recipe_file import RecipeFolder
from training.search.attempt import Attempt
from training.search.pareto import cost
from training.search.search import Findings, Ledger, Search, run_search
from training.search.space import SearchSpace, check_space
from training.search.space_file import SCORE, SearchPlan, check_objectives, load_plan
from training.search.trial import Objective, Result, Trial
from training.tracking import RunTracker

SPACES = RecipeFolder(Path(__file__).parent.parent / "search_spaces", "search space")
RECIPE = "search"
"""The export recipe that a search starts from where nobody says otherwise: see its file."""
Publish = Callable[[ModelPackage], VersionInfo]


@dataclass(frozen=True)
class AskedExport:
    """A recipe by name or path with what the user set, so that it can be read again with a trial's values."""

    name_or_path: str
    overrides: tuple[str, ...]

    def load(self, task: TaskName, further: Sequence[str] = ()) -> AnyRecipe:
        """The recipe for models of a task. Raises InvalidRecipe, also for steps that make no sense for them."""
        recipe = NamedRecipe(self.name_or_path or RECIPE, [*self.overrides, *further]).for_task(task)
        return generative_recipe(recipe, task) if is_generative(task) else single_shot_recipe(recipe, task)


def load_export_plan(space: str, asked: AskedExport, task: TaskName) -> SearchPlan:
    """The search of this name or path, or of the task where there is none. Raises InvalidRecipe where the recipe does
    not take what the space holds."""
    plan = load_plan(SPACES, space or task)
    check_objectives(plan, (SCORE, LATENCY, SIZE))
    searched_variant(plan.space, plan.origin)
    check_space(plan.space, lambda values: asked.load(task, [*plan.trial_overrides, *values]), plan.origin)
    return plan


def searched_variant(space: SearchSpace, origin: str) -> str:
    """The one variant whose fields a space is about. Raises InvalidRecipe."""
    fields = [each.field for each in space.every_dimension()]
    names = {field.split(".")[1] for field in fields if field.startswith("variants.")}
    if len(names) != 1:
        raise InvalidRecipe(
            f"{origin}: a search of exports is about the fields of one variant (variants.compressed.steps, say); this "
            f"one is about {', '.join(sorted(names)) or 'none'}"
        )
    return names.pop()


def search_export(
    bench: Bench,
    scratch: Path,
    asked: AskedExport,
    plan: SearchPlan,
    ledger: Ledger,
    publish: Publish,
    on_trial: Callable[[Trial], None],
) -> Findings:
    """Runs the trials that are missing of the model on the `bench`, and publishes the winner. Its facts are those of
    the conclusion: `trial`, `name` and `version`. `scratch`: a folder to build in. Raises GateFailed where no trial
    passed."""
    variant, recipe = searched_variant(plan.space, plan.origin), asked.load(bench.task)
    objectives = name_objectives(plan, bench)
    search = Search(f"{bench.name}-export-search", plan, objectives, (bench.run_id, recipe), recipe.seed)

    def measure(attempt: Attempt, tracker: RunTracker) -> Result:
        own = asked.load(bench.task, [*plan.trial_overrides, *attempt.overrides])
        return bench.measure(own, variant, scratch)

    def conclude(trials: Sequence[Trial], front: Sequence[Trial]) -> dict[str, Any]:
        refusals = [f"trial {trial.number}: {trial.reason}" for trial in trials if trial.state == "missed"]
        for trial in fastest_first(trials, bench.score):
            chosen = asked.load(bench.task, trial.overrides)
            try:
                package = bench.export(chosen, scratch / f"trial-{trial.number}")
            except GateFailed as failure:
                refusals.append(f"trial {trial.number}, on test data: {failure}")
                continue
            found = publish(package)
            return {"trial": trial.number, "name": found.name, "version": found.version}
        raise GateFailed(f"{bench.name}: none of {len(trials)} trials passed its gates\n\n" + "\n".join(refusals))

    return run_search(search, ledger, measure, conclude, on_trial)


def name_objectives(plan: SearchPlan, bench: Bench) -> tuple[Objective, ...]:
    """The score under the name that it has in evidence, then what it costs."""
    wanted = plan.objectives or (SCORE, LATENCY, SIZE)
    scores = (bench.score,) if SCORE in wanted else ()
    return scores + tuple(Objective(name, "min") for name in wanted if name != SCORE)


def fastest_first(trials: Sequence[Trial], score: Objective) -> list[Trial]:
    """Those that missed no gate, in steps of speed that noise does not explain; within a step the best first, and of
    those that are equally good the faster."""
    passed = [trial for trial in trials if trial.state == "measured"]
    fastest = min((trial.figures[LATENCY] for trial in passed), default=1.0)

    def rank(trial: Trial) -> tuple[int, float, float]:
        latency = trial.figures[LATENCY]
        return int((latency / fastest - 1) / NOISE_SHARE), cost(trial, score), latency

    return sorted(passed, key=rank)


def command_of(name: str, asked: AskedExport, trial: Trial) -> str:
    """The command that exports a trial's variant."""
    words = ["tidegate", "export", name, "--recipe", asked.name_or_path or RECIPE]
    for override in (*asked.overrides, *trial.overrides):
        words += ["--set", override]
    return shlex.join(words)
