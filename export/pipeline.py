"""load → compress → to_onnx → verify → profile → package, read top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from export.exemplar_tiles import draw_changes
from export.forgotten import FILE_NAME, SHEET_NAME, Forgotten, find_forgotten
from export.forgotten_report import format_forgotten, sheet_title
from export.gates import check_class_limits
from export.held_out import decode_batches, draw, draw_indices, stack
from export.latency import measure_latency
from export.package_folder import new_package_folder
from export.population import build_population, write_once
from export.recipe import ExportRecipe
from export.report import format_missed, format_variants
from export.rival import Rival, beside_rival
from export.seal import MAIN, Proof, write_package
from export.stored_graphs import StoredGraphs, store_graphs
from export.subject import Example, Subject
from export.tolerance_missed import require_passed
from export.variants import build_variants
from export.verify import Footprint, Variant, answers_of, member_of, run_trials, weigh_evidence
from registry.package import ModelPackage
from tasks.errors import BadInput
from tasks.task import Task, open_task
from training.progress import track

LATENCY_BATCHES = (1, 16)


@dataclass(frozen=True)
class Draws:
    """The examples of one export, by use."""

    calibration: list[Example]
    compared: list[Example]
    compared_indices: list[int]
    """Of the compared ones in the held-out data."""
    observed: list[Example]
    """Further ones for the profile; all there is of it where the data say what is normal."""


def export_subject(subject: Subject, recipe: ExportRecipe, output: Path, rival: Rival | None = None) -> ModelPackage:
    """Builds, proves and seals a package in the new folder `output`. `rival`: a package of the same model that is tried
    on the same held-out examples, for promotion to go by.

    Raises ToleranceMissed with a table of what missed; nothing is left behind then. Raises BadInput without data,
    InvalidRecipe, Conflict.
    """
    with new_package_folder(output):
        proof = build_and_weigh(subject, recipe, output)
        tables = (format_missed(proof.evidence), format_variants(proof.evidence), format_forgotten(proof.forgotten))
        require_passed(subject.name, proof.evidence, "\n\n".join(tables), proof.sheets)
        if rival is not None:
            proof = beside_rival(subject, proof, rival)
        return write_package(subject, recipe, proof, output)


def build_and_weigh(subject: Subject, recipe: ExportRecipe, output: Path) -> Proof:
    """Writes the graphs of all variants into the empty folder `output`, and measures them: what `write_package` seals.
    The evidence says which gates each of them missed. Raises BadInput without data, InvalidRecipe."""
    task, draws, buckets = open_task(subject.task_spec), draw_examples(subject, recipe), usable_buckets(subject, recipe)
    check_class_limits({name: each.tolerances.class_drops for name, each in recipe.variants.items()}, task.labels)
    batches = [stack(items) for items in decode_batches(task, draws.calibration, subject.max_batch or 32)]
    with TemporaryDirectory(prefix="seeds-", dir=output.parent) as scratch:
        source = write_once(subject, Path(scratch))
        variants = build_variants(source, recipe, batches, output)
        others = build_population(source, recipe, Path(scratch))
        populations = {name: [variant, *others[name]] for name, variant in variants.items()}
        trials = run_trials(subject, populations, draws.compared, draws.observed)
        members = {name: [member_of(trial) for trial in found] for name, found in trials.items()}
        judge = next(iter(trials.values()))[0].judge
        truths = [judge.truth(example.target) for example in draws.compared]
        forgotten = {
            name: find_forgotten(judge.metric, answers_of(found[0], truths, draws.compared_indices), members[name])
            for name, found in trials.items()
        }
        sheets = draw_sheets(subject, populations, forgotten, draws)
    packaged = {name: found[0] for name, found in trials.items()}
    stored = {name: store_graphs(recipe.variants[name].steps, {MAIN: each.path}) for name, each in variants.items()}
    footprints = measure_footprints(task, recipe, variants, stored, draws, max(buckets))
    evidence = {
        name: weigh_evidence(packaged[name], members[name][0], forgotten[name], footprint, recipe.variants[name])
        for name, footprint in footprints.items()
    }
    first_profiled = 0 if subject.data.normal is None else len(draws.compared)
    return Proof(
        variants=variants,
        stored=stored,
        trials=packaged,
        evidence=evidence,
        compared=draws.compared,
        compared_indices=draws.compared_indices,
        batch_buckets=buckets,
        forgotten=forgotten,
        sheets=sheets,
        first_profiled=first_profiled,
    )


def draw_examples(subject: Subject, recipe: ExportRecipe) -> Draws:
    """Seeded draws. Evidence comes from held-out examples alone; the profile takes spare ones where those run out,
    and normal ones alone where the data have them."""
    data, seed = subject.data, recipe.seed
    if not len(data.held_out) or not len(data.calibration):
        raise BadInput(f"{subject.name}: verifying needs held-out examples, and calibrating needs others; got none")
    order = draw_indices(len(data.held_out), max(recipe.num_verify, recipe.num_profile), seed)
    compared, rest = order[: recipe.num_verify], order[recipe.num_verify : recipe.num_profile]
    num_missing = max(0, recipe.num_profile - len(order))
    observed = [*(data.held_out[index] for index in rest), *draw(data.spare, num_missing, seed)]
    return Draws(
        calibration=draw(data.calibration, recipe.num_calibration, seed),
        compared=[data.held_out[index] for index in compared],
        compared_indices=compared,
        observed=observed if data.normal is None else draw(data.normal, recipe.num_profile, seed),
    )


def usable_buckets(subject: Subject, recipe: ExportRecipe) -> tuple[int, ...]:
    """The recipe's batch sizes, as far as the graph takes them."""
    if subject.max_batch is None:
        return recipe.batch_buckets
    return tuple(size for size in recipe.batch_buckets if size <= subject.max_batch) or (subject.max_batch,)


def draw_sheets(
    subject: Subject, populations: Mapping[str, Sequence[Variant]], forgotten: Mapping[str, Forgotten], draws: Draws
) -> dict[str, bytes]:
    """The files of the package that say what each variant forgot; a picture where anything changed."""
    examples, sheets = dict(zip(draws.compared_indices, draws.compared, strict=True)), {}
    for name, each in track(forgotten.items(), "drawing what changed", len(forgotten)):
        sheets[f"{name}/{FILE_NAME}"] = each.encode()
        if each.changes:
            title = sheet_title(subject.name, name, each)
            sheets[f"{name}/{SHEET_NAME}"] = draw_changes(subject, populations[name], each, examples, title)
    return sheets


def measure_footprints(
    task: Task,
    recipe: ExportRecipe,
    variants: Mapping[str, Variant],
    stored: Mapping[str, StoredGraphs],
    draws: Draws,
    max_batch: int,
) -> dict[str, Footprint]:
    """Size and speed of every variant."""
    sizes = tuple(size for size in LATENCY_BATCHES if size <= max_batch)
    examples = (draws.compared * max(sizes))[: max(sizes)]
    inputs = stack([item for items in decode_batches(task, examples) for item in items])
    graphs = {name: each.path for name, each in variants.items()}
    timings = measure_latency(graphs, inputs, sizes, recipe.latency_seconds)
    return {name: Footprint(stored[name].num_bytes, timings[name], stored[name].metrics()) for name in graphs}
