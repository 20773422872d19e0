"""load → compress → to_onnx → verify → profile → package, read top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from export.held_out import decode_batches, draw, stack
from export.latency import measure_latency
from export.recipe import ExportRecipe, Int8Static, VariantConfig
from export.report import format_missed, format_variants
from export.seal import Proof, write_package
from export.subject import Example, Subject
from export.trial import Trial
from export.verify import Footprint, Variant, run_trials, weigh_evidence
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.detection_spec import DetectionSpec, SuppressionInside
from tasks.errors import BadInput, Conflict, GateFailed, InvalidRecipe
from tasks.task import Array, Task, TaskSpec, open_task
from training.progress import pulse, track

LATENCY_BATCHES = (1, 16)


@dataclass(frozen=True)
class Draws:
    """The examples of one export, by use."""

    calibration: list[Example]
    compared: list[Example]
    observed: list[Example]


def export_subject(subject: Subject, recipe: ExportRecipe, output: Path) -> ModelPackage:
    """Builds, proves and seals a package in the new folder `output`.

    Raises GateFailed with a table of what missed; nothing is left behind then. Raises BadInput without data.
    """
    if output.exists() and any(output.iterdir()):
        raise Conflict(f"{output} is not empty: a package is written into a new folder, never over another")
    task, draws, buckets = open_task(subject.task_spec), draw_examples(subject, recipe), usable_buckets(subject, recipe)
    output.mkdir(parents=True, exist_ok=True)
    try:
        variants = build_variants(subject, task, recipe, draws.calibration, output)
        trials = run_trials(subject, variants, draws.compared, draws.observed)
        evidence = collect_evidence(task, recipe, variants, trials, draws, max(buckets))
        if not all(each.passed for each in evidence.values()):
            raise GateFailed(
                f"{subject.name}: the export is outside the recipe's tolerances\n\n{format_missed(evidence)}\n\n"
                f"{format_variants(evidence)}"
            )
        return write_package(subject, recipe, Proof(variants, trials, evidence, draws.compared, buckets), output)
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise


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


def build_variants(
    subject: Subject, task: Task, recipe: ExportRecipe, calibration: Sequence[Example], output: Path
) -> dict[str, Variant]:
    """Writes <variant>/model.onnx for every variant: one float32 export, compressed by each variant's technique."""
    plain = output / "exported.onnx"
    with pulse("writing the ONNX graph"):
        subject.write_graph(plain, recipe.opset)
    batches = [stack(items) for items in decode_batches(task, calibration, subject.max_batch or 32)]
    variants = {}
    for name, config in track(recipe.variants.items(), "compressing", len(recipe.variants)):
        path = output / name / "model.onnx"
        path.parent.mkdir()
        write_variant(plain, path, batches, config)
        variants[name] = Variant(path, open_task(finish_variant(path, subject.task_spec, config)))
    plain.unlink()
    return variants


def write_variant(plain: Path, path: Path, batches: Sequence[Mapping[str, Array]], config: VariantConfig) -> None:
    """One technique applied to the float32 graph."""
    if isinstance(config, Int8Static):
        from export.compress.int8_static import quantize_int8

        quantize_int8(plain, path, batches, config)
    else:
        shutil.copyfile(plain, path)


def finish_variant(path: Path, spec: TaskSpec, config: VariantConfig) -> TaskSpec:
    """Moves into the graph what the recipe wants inside; returns the task that is left. Raises InvalidRecipe."""
    if config.suppression is None:
        return spec
    if not isinstance(spec, DetectionSpec) or spec.suppression != "class_aware":
        raise InvalidRecipe("only a detector with class_aware suppression can carry it inside its graph: see variants")
    from export.suppress_onnx import append_suppression

    # Never stricter than the task's own defaults: a variant must answer a request without thresholds as its siblings.
    inside = SuppressionInside(
        score_threshold=min(spec.score_threshold, config.suppression.score_threshold),
        iou_threshold=max(spec.iou_threshold, config.suppression.iou_threshold),
        max_detections=max(spec.max_detections, config.suppression.max_detections),
    )
    append_suppression(path, path, inside)
    return msgspec.structs.replace(spec, inside=inside)


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
