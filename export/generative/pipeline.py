"""graphs → verify → profile → package, of a model that answers token by token; read top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from export.forgotten import FILE_NAME, SHEET_NAME, TEXT_NAME, Forgotten
from export.forgotten_report import format_forgotten, sheet_title
from export.gates import check_class_limits
from export.generative.caption_tiles import draw_captions
from export.generative.forgotten import find_generative_forgotten
from export.generative.graph_speaker import GraphSpeaker
from export.generative.latency import measure_steps, step_sizes
from export.generative.next_tokens import TOKEN_CLASSES
from export.generative.passage import Passage
from export.generative.population import write_population
from export.generative.profile import observe_answers
from export.generative.recipe import GenerativeRecipe
from export.generative.report import format_missed, format_variants
from export.generative.rival import beside_rival
from export.generative.seal import Proof, write_package
from export.generative.subject import GenerativeSubject, passages_of
from export.generative.text_sheet import write_text_sheet
from export.generative.torch_speaker import TorchSpeaker
from export.generative.trial import GenerativeTrial
from export.generative.variants import GraphFiles, write_variants
from export.generative.verify import METRIC, Footprint, Spoken, continuation_gate, run_trials, weigh_evidence
from export.held_out import num_cores
from export.judge_captions import caption_gates, open_caption_judge
from export.package_folder import new_package_folder
from export.rival import Rival
from export.stored_graphs import StoredGraphs, store_graphs
from export.tolerance_missed import require_passed
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.errors import BadInput
from tasks.generation import GenerativeTask, open_generative_task

REPEATED_SLOTS = 4
"""Prompts that a variant of another seed continues at once: enough to be quick, and little memory."""


@dataclass(frozen=True)
class Draws:
    """The passages of one export, by use."""

    compared: list[Passage]
    observed: list[Passage]
    """For the profile: the compared ones first, then others; or normal ones alone."""


def export_generative(
    subject: GenerativeSubject, recipe: GenerativeRecipe, output: Path, rival: Rival | None = None
) -> ModelPackage:
    """Builds, proves and seals a package in the new folder `output`. `rival`: a package of the same model that is tried
    on the same held-out passages, for promotion to go by.

    Raises ToleranceMissed with a table of what missed; nothing is left behind then. Raises BadInput without data,
    InvalidRecipe, Conflict.
    """
    with new_package_folder(output):
        task = open_generative_task(subject.task_spec, subject.folder)
        proof = build_and_weigh(subject, task, recipe, output)
        tables = (format_missed(proof.evidence), format_variants(proof.evidence), format_forgotten(proof.forgotten))
        require_passed(subject.name, proof.evidence, "\n\n".join(tables), proof.sheets)
        if rival is not None:
            proof = beside_rival(subject, proof, rival)
        return write_package(subject, task, recipe, proof, output)


def build_and_weigh(subject: GenerativeSubject, task: GenerativeTask, recipe: GenerativeRecipe, output: Path) -> Proof:
    """Writes the graphs of all variants into the empty folder `output`, and measures them: what `write_package` seals.
    The evidence says which gates each of them missed. Raises BadInput without data, InvalidRecipe."""
    check_class_limits({name: each.tolerances.class_drops for name, each in recipe.variants.items()}, TOKEN_CLASSES)
    draws = draw_passages(subject, task, recipe)
    with TemporaryDirectory(prefix="seeds-", dir=output.parent) as scratch:
        graphs = write_variants(subject, recipe, output)
        others = write_population(subject, recipe, Path(scratch))
        trials = try_variants(subject, task, recipe, {name: [graphs[name], *others[name]] for name in graphs}, draws)
    plain = next(trials[name][0] for name, variant in recipe.variants.items() if not variant.steps)
    forgotten = {name: find_generative_forgotten(task, METRIC, plain, found) for name, found in trials.items()}
    packaged = {name: found[0] for name, found in trials.items()}
    stored = {name: store_graphs(recipe.variants[name].steps, files) for name, files in graphs.items()}
    evidence = collect_evidence(subject, task, recipe, stored, packaged, forgotten)
    sheets = draw_sheets(subject, forgotten, draws.compared)
    return Proof(stored, packaged, evidence, draws.compared, forgotten, sheets)


def draw_passages(subject: GenerativeSubject, task: GenerativeTask, recipe: GenerativeRecipe) -> Draws:
    """Evidence comes from held-out data alone; the profile takes spare data where that runs out, and normal data alone
    where there are some."""
    held_out = passages_of(subject.held_out, task, recipe, max(recipe.num_verify, recipe.num_profile))
    if not held_out:
        raise BadInput(f"{subject.name}: verifying needs held-out data; there is none, or it is too short")
    if subject.normal is not None:
        return Draws(held_out[: recipe.num_verify], passages_of(subject.normal, task, recipe, recipe.num_profile))
    observed = held_out[: recipe.num_profile]
    observed += passages_of(subject.spare, task, recipe, recipe.num_profile - len(observed))
    return Draws(held_out[: recipe.num_verify], observed)


def try_variants(
    subject: GenerativeSubject,
    task: GenerativeTask,
    recipe: GenerativeRecipe,
    populations: Mapping[str, Sequence[GraphFiles]],
    draws: Draws,
) -> dict[str, list[GenerativeTrial]]:
    """Every variant of every seed on trial; the answers for the profile are those of the packaged ones."""
    most = max(recipe.slots)
    speakers = {
        name: [
            GraphSpeaker(files, most if place == 0 else min(most, REPEATED_SLOTS), task.context, num_cores())
            for place, files in enumerate(population)
        ]
        for name, population in populations.items()
    }
    try:
        trained = TorchSpeaker(subject.decoder, subject.encoder)
        trials = run_trials(trained, speakers, task, draws.compared, recipe)
        for name, (speaker, *_) in speakers.items():
            trials[name][0].observations = observe_answers(task, speaker, draws.observed, recipe.seed)
    finally:
        for speaker in chain.from_iterable(speakers.values()):
            speaker.close()
    return trials


def collect_evidence(
    subject: GenerativeSubject,
    task: GenerativeTask,
    recipe: GenerativeRecipe,
    stored: Mapping[str, StoredGraphs],
    trials: Mapping[str, GenerativeTrial],
    forgotten: Mapping[str, Forgotten],
) -> dict[str, Evidence]:
    """Size and speed of every variant, and the verdict on what its trial showed."""
    sizes = step_sizes(max(recipe.slots))
    speakers = {name: GraphSpeaker(each.files, max(sizes), task.context, 1) for name, each in stored.items()}
    timings = measure_steps(speakers, task, sizes, recipe.latency_seconds)
    for speaker in speakers.values():
        speaker.close()
    trained = TorchSpeaker(subject.decoder, subject.encoder)
    compared = next(iter(trials.values())).passages
    judge = open_caption_judge(subject, task, compared, recipe)
    evidence = {}
    for name, config in recipe.variants.items():
        trial = trials[name]
        footprint = Footprint(stored[name].num_bytes, timings[name], stored[name].metrics())
        gates = [continuation_gate(trained, task, compared, trial.continuations)] if not config.steps else []
        figures = judge.metrics(trial.continuations) if judge is not None else {}
        gates += caption_gates(figures, config.tolerances) if figures else ()
        evidence[name] = weigh_evidence(trial, forgotten[name], footprint, config.tolerances, Spoken(figures, gates))
    return evidence


def draw_sheets(
    subject: GenerativeSubject, forgotten: Mapping[str, Forgotten], passages: Sequence[Passage]
) -> dict[str, bytes]:
    """The files of the package that say what each variant forgot: pictures with both captions, or texts."""
    sheets = {}
    for name, each in forgotten.items():
        sheets[f"{name}/{FILE_NAME}"] = each.encode()
        title = sheet_title(subject.name, name, each)
        if each.changes and subject.encoder is not None:
            sheets[f"{name}/{SHEET_NAME}"] = draw_captions(title, each, passages)
        elif each.changes:
            sheets[f"{name}/{TEXT_NAME}"] = write_text_sheet(title, each, passages)
    return sheets
