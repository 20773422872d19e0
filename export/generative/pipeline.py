"""graphs → verify → profile → package, of a model that answers token by token; read top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.generative.graph_speaker import GraphSpeaker
from export.generative.latency import measure_steps, step_sizes
from export.generative.passage import Passage
from export.generative.profile import observe_answers
from export.generative.recipe import GenerativeRecipe
from export.generative.report import format_missed, format_variants
from export.generative.seal import Proof, write_package
from export.generative.subject import GenerativeSubject, passages_of
from export.generative.torch_speaker import TorchSpeaker
from export.generative.trial import GenerativeTrial
from export.generative.variants import GraphFiles, write_variants
from export.generative.verify import Footprint, continuation_gate, run_trials, size_of, weigh_evidence
from export.held_out import num_cores
from export.judge_captions import caption_gates, open_caption_judge
from export.package_folder import new_package_folder
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.errors import BadInput, GateFailed
from tasks.generation import GenerativeTask, open_generative_task


@dataclass(frozen=True)
class Draws:
    """The passages of one export, by use."""

    compared: list[Passage]
    observed: list[Passage]
    """For the profile: the compared ones first, then others."""


def export_generative(subject: GenerativeSubject, recipe: GenerativeRecipe, output: Path) -> ModelPackage:
    """Builds, proves and seals a package in the new folder `output`.

    Raises GateFailed with a table of what missed; nothing is left behind then. Raises BadInput without data, Conflict.
    """
    with new_package_folder(output):
        task = open_generative_task(subject.task_spec, subject.folder)
        proof = build_and_weigh(subject, task, recipe, output)
        require_passed(subject.name, proof.evidence)
        return write_package(subject, task, recipe, proof, output)


def build_and_weigh(subject: GenerativeSubject, task: GenerativeTask, recipe: GenerativeRecipe, output: Path) -> Proof:
    """Writes the graphs of all variants into the empty folder `output`, and measures them: what `write_package` seals.
    The evidence says which gates each of them missed. Raises BadInput without data, InvalidRecipe."""
    draws = draw_passages(subject, task, recipe)
    graphs = write_variants(subject, recipe, output)
    trials = try_variants(subject, task, recipe, graphs, draws)
    evidence = collect_evidence(subject, task, recipe, graphs, trials, draws.compared)
    return Proof(graphs, trials, evidence, draws.compared)


def require_passed(name: str, evidence: Mapping[str, Evidence]) -> None:
    """Raises GateFailed with a table of what missed."""
    if not all(each.passed for each in evidence.values()):
        raise GateFailed(
            f"{name}: the export is outside the recipe's tolerances\n\n{format_missed(evidence)}\n\n"
            f"{format_variants(evidence)}"
        )


def draw_passages(subject: GenerativeSubject, task: GenerativeTask, recipe: GenerativeRecipe) -> Draws:
    """Evidence comes from held-out data alone; the profile takes spare data where that runs out."""
    held_out = passages_of(subject.held_out, task, recipe, max(recipe.num_verify, recipe.num_profile))
    if not held_out:
        raise BadInput(f"{subject.name}: verifying needs held-out data; there is none, or it is too short")
    observed = held_out[: recipe.num_profile]
    observed += passages_of(subject.spare, task, recipe, recipe.num_profile - len(observed))
    return Draws(held_out[: recipe.num_verify], observed)


def try_variants(
    subject: GenerativeSubject,
    task: GenerativeTask,
    recipe: GenerativeRecipe,
    graphs: Mapping[str, GraphFiles],
    draws: Draws,
) -> dict[str, GenerativeTrial]:
    """Every variant on trial, and its answers for the profile."""
    speakers = {
        name: GraphSpeaker(files, max(recipe.slots), task.context, num_cores()) for name, files in graphs.items()
    }
    try:
        trained = TorchSpeaker(subject.decoder, subject.encoder)
        trials = run_trials(trained, speakers, task, draws.compared, recipe)
        for name, speaker in speakers.items():
            trials[name].observations = observe_answers(task, speaker, draws.observed, recipe.seed)
    finally:
        for speaker in speakers.values():
            speaker.close()
    return trials


def collect_evidence(
    subject: GenerativeSubject,
    task: GenerativeTask,
    recipe: GenerativeRecipe,
    graphs: Mapping[str, GraphFiles],
    trials: Mapping[str, GenerativeTrial],
    compared: Sequence[Passage],
) -> dict[str, Evidence]:
    """Size and speed of every variant, and the verdict on what its trial showed."""
    sizes = step_sizes(max(recipe.slots))
    speakers = {name: GraphSpeaker(files, max(sizes), task.context, 1) for name, files in graphs.items()}
    timings = measure_steps(speakers, task, sizes, recipe.latency_seconds)
    for speaker in speakers.values():
        speaker.close()
    trained = TorchSpeaker(subject.decoder, subject.encoder)
    judge = open_caption_judge(subject, task, compared, recipe)
    evidence = {}
    for name, config in recipe.variants.items():
        trial, footprint = trials[name], Footprint(size_of(graphs[name]), timings[name])
        gates = [continuation_gate(trained, task, compared, trial.continuations)] if not config.steps else []
        spoken = judge.metrics(trial.continuations) if judge is not None else {}
        gates += caption_gates(spoken, config.tolerances) if spoken else ()
        evidence[name] = weigh_evidence(trial, footprint, config.tolerances, spoken, gates)
    return evidence
