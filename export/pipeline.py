"""load → compress → to_onnx → verify → profile → package, read top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from export.held_out import decode_batches, draw, stack
from export.latency import measure_latency
from export.package_folder import new_package_folder
from export.recipe import ExportRecipe
from export.report import format_missed, format_variants
from export.seal import Proof, write_package
from export.subject import Example, Subject
from export.trial import Trial
from export.variants import build_variants
from export.verify import Footprint, Variant, run_trials, weigh_evidence
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.errors import BadInput, GateFailed
from tasks.task import Task, open_task

LATENCY_BATCHES = (1, 16)


@dataclass(frozen=True)
class Draws:
    """The examples of one export, by use."""

    calibration: list[Example]
    compared: list[Example]
    observed: list[Example]


def export_subject(subject: Subject, recipe: ExportRecipe, output: Path) -> ModelPackage:
    """Builds, proves and seals a package in the new folder `output`.

    Raises GateFailed with a table of what missed; nothing is left behind then. Raises BadInput without data, Conflict.
    """
    with new_package_folder(output):
        proof = build_and_weigh(subject, recipe, output)
        require_passed(subject.name, proof.evidence)
        return write_package(subject, recipe, proof, output)


def build_and_weigh(subject: Subject, recipe: ExportRecipe, output: Path) -> Proof:
    """Writes the graphs of all variants into the empty folder `output`, and measures them: what `write_package` seals.
    The evidence says which gates each of them missed. Raises BadInput without data, InvalidRecipe."""
    task, draws, buckets = open_task(subject.task_spec), draw_examples(subject, recipe), usable_buckets(subject, recipe)
    batches = [stack(items) for items in decode_batches(task, draws.calibration, subject.max_batch or 32)]
    variants = build_variants(subject, recipe, batches, output)
    trials = run_trials(subject, variants, draws.compared, draws.observed)
    evidence = collect_evidence(task, recipe, variants, trials, draws, max(buckets))
    return Proof(variants, trials, evidence, draws.compared, buckets)


def require_passed(name: str, evidence: Mapping[str, Evidence]) -> None:
    """Raises GateFailed with a table of what missed."""
    if not all(each.passed for each in evidence.values()):
        raise GateFailed(
            f"{name}: the export is outside the recipe's tolerances\n\n{format_missed(evidence)}\n\n"
            f"{format_variants(evidence)}"
        )


def draw_examples(subject: Subject, recipe: ExportRecipe) -> Draws:
    """Seeded draws. Evidence comes from held-out examples alone; the profile takes spare ones where those run out."""
    data, seed = subject.data, recipe.seed
    if not len(data.held_out) or not len(data.calibration):
        raise BadInput(f"{subject.name}: verifying needs held-out examples, and calibrating needs others; got none")
    held_out = draw(data.held_out, max(recipe.num_verify, recipe.num_profile), seed)
    compared, rest = held_out[: recipe.num_verify], held_out[recipe.num_verify : recipe.num_profile]
    num_missing = max(0, recipe.num_profile - len(held_out))
    return Draws(
        calibration=draw(data.calibration, recipe.num_calibration, seed),
        compared=compared,
        observed=[*rest, *draw(data.spare, num_missing, seed)],
    )


def usable_buckets(subject: Subject, recipe: ExportRecipe) -> tuple[int, ...]:
    """The recipe's batch sizes, as far as the graph takes them."""
    if subject.max_batch is None:
        return recipe.batch_buckets
    return tuple(size for size in recipe.batch_buckets if size <= subject.max_batch) or (subject.max_batch,)


def collect_evidence(
    task: Task,
    recipe: ExportRecipe,
    variants: Mapping[str, Variant],
    trials: Mapping[str, Trial],
    draws: Draws,
    max_batch: int,
) -> dict[str, Evidence]:
    """Size and speed of every variant, and the verdict on what its trial showed."""
    sizes = tuple(size for size in LATENCY_BATCHES if size <= max_batch)
    examples = (draws.compared * max(sizes))[: max(sizes)]
    inputs = stack([item for items in decode_batches(task, examples) for item in items])
    graphs = {name: each.path for name, each in variants.items()}
    timings = measure_latency(graphs, inputs, sizes, recipe.latency_seconds)
    return {
        name: weigh_evidence(
            trials[name], Footprint(path.stat().st_size, timings[name]), recipe.variants[name].tolerances
        )
        for name, path in graphs.items()
    }
