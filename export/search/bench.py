"""A trained model on the bench: any export recipe in, size, speed and score of one of its variants out.

Trials are weighed on the data that decided things in training already (the validation split): the test data, on which
an export has to prove itself, is kept for the winner.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.export_checkpoint import generative_recipe, single_shot_recipe
from export.recipe import AnyRecipe
from registry.manifest import Evidence, GateResult
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.generation import open_generative_task
from tasks.task import is_generative, open_task
from training.checkpoint import load_checkpoint
from training.recipe import TaskName
from training.search.trial import Objective, Result

if TYPE_CHECKING:
    from export.generative.subject import GenerativeSubject
    from export.subject import Subject

LATENCY, SIZE = "relative_latency", "num_bytes"
"""`relative_latency`: against the float32 graph, both timed in turn within the same rounds. What one machine takes for
it does not compare with what another takes, nor with the same one an hour later; shares do."""


@dataclass(frozen=True)
class Bench:
    """`score`: the task's own figure, as the evidence names it. `weigh(recipe, folder)`: the evidence of every variant
    on validation data; their graphs are written into the empty folder. `export(recipe, folder)`: a package, proved on
    test data."""

    name: str
    """Of the model."""
    run_id: str
    """Of its training: another training is another model."""
    task: TaskName
    score: Objective
    weigh: Callable[[AnyRecipe, Path], Mapping[str, Evidence]]
    export: Callable[[AnyRecipe, Path], ModelPackage]

    def measure(self, recipe: AnyRecipe, variant: str, scratch: Path) -> Result:
        """What a variant costs and what it is worth, and the gates that it missed. Nothing is left in `scratch`."""
        plain = find_plain(recipe, variant)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            evidence = self.weigh(recipe, Path(folder))
        found = evidence[variant]
        first = min(found.latency_ms, key=int)
        figures = {
            found.metric: found.metrics[found.metric],
            LATENCY: found.latency_ms[first] / evidence[plain].latency_ms[first],
            SIZE: float(found.num_bytes),
            "latency_ms": found.latency_ms[first],
            "decision_agreement": found.metrics["decision_agreement"],
        }
        return Result(figures=figures, missed=tuple(tell_gate(gate) for gate in found.gates if not gate.passed))


def find_plain(recipe: AnyRecipe, variant: str) -> str:
    """The float32 graph that a variant is timed against. Raises InvalidRecipe."""
    for name, config in recipe.variants.items():
        if name != variant and not config.steps:
            return name
    raise InvalidRecipe(
        f"a search times {variant!r} against the float32 graph: the recipe needs a variant without steps"
    )


def tell_gate(gate: GateResult) -> str:
    """A gate that did not hold, in words."""
    told = f"{gate.name} {gate.value:.4g}, limit {gate.limit:.4g}"
    return f"{told} ({gate.detail})" if gate.detail else told


def open_bench(checkpoint_folder: Path, run_id: str, scratch: Path) -> Bench:
    """The model of a checkpoint of any kind; `scratch` is a folder for what all trials share. Raises InvalidPackage."""
    checkpoint = load_checkpoint(checkpoint_folder)
    if is_generative(checkpoint.recipe.task):
        from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject

        return generative_bench(generative_subject(checkpoint, run_id), checkpoint.recipe.task, run_id)
    from export.population import write_once
    from export.torch_subject import subject_of_checkpoint

    # Writing the float32 graph takes longer than all else of a trial that does not change the network.
    subject = write_once(subject_of_checkpoint(checkpoint, run_id), scratch)
    return single_shot_bench(subject, checkpoint.recipe.task, run_id)


def single_shot_bench(subject: Subject, task: TaskName, run_id: str) -> Bench:
    """Of a model that answers at once."""
    from export.judge import open_judge
    from export.pipeline import build_and_weigh, export_subject

    judged = replace(subject.data, held_out=subject.data.spare or subject.data.held_out, spare=())
    on_validation = replace(subject, data=judged)

    def weigh(recipe: AnyRecipe, folder: Path) -> Mapping[str, Evidence]:
        return build_and_weigh(on_validation, single_shot_recipe(recipe, task), folder).evidence

    def export(recipe: AnyRecipe, folder: Path) -> ModelPackage:
        return export_subject(subject, single_shot_recipe(recipe, task), folder)

    score = Objective(open_judge(open_task(subject.task_spec)).metric, "max")
    return Bench(subject.name, run_id, task, score, weigh, export)


def generative_bench(subject: GenerativeSubject, task: TaskName, run_id: str) -> Bench:
    """Of a model that answers token by token."""
    from export.generative.pipeline import build_and_weigh, export_generative
    from export.generative.verify import METRIC

    on_validation = replace(subject, held_out=subject.spare or subject.held_out, spare=())
    speaking = open_generative_task(subject.task_spec, subject.folder)

    def weigh(recipe: AnyRecipe, folder: Path) -> Mapping[str, Evidence]:
        return build_and_weigh(on_validation, speaking, generative_recipe(recipe, task), folder).evidence

    def export(recipe: AnyRecipe, folder: Path) -> ModelPackage:
        return export_generative(subject, generative_recipe(recipe, task), folder)

    return Bench(subject.name, run_id, task, Objective(METRIC, "min"), weigh, export)
