"""The last step of an export: golden set, profiles and manifest beside the graphs, sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from export.compress.steps import precision_of, requirements_of
from export.compress.technique import Technique
from export.forgotten import Forgotten
from export.golden import choose_golden, replay_tolerance, write_golden
from export.held_out import decode_batches, run_capped, stack
from export.host_runtime import open_on_host
from export.lineage import complete_lineage
from export.recipe import ExportRecipe
from export.stored_graphs import StoredGraphs
from export.subject import Example, Subject
from export.tolerance_missed import write_sheets
from export.trial import Trial
from export.verify import Variant as Built
from monitoring.profile import build_profile, encode_profile
from registry.manifest import Evidence, GoldenOutputs, Graph, Manifest, Variant
from registry.package import ModelPackage, seal_package
from registry.plain_graph import write_plain_graph
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.self_test import replay_golden
from tasks.errors import GateFailed
from tasks.task import Array, open_task

MAIN = "main"
"""The role of the only graph of a model that answers at once."""
NOISE_SHARE = 0.15
"""Differences of latency below this mean nothing on a shared machine."""


@dataclass(frozen=True)
class Proof:
    """What `write_package` seals: everything by variant."""

    variants: Mapping[str, Built]
    stored: Mapping[str, StoredGraphs]
    trials: Mapping[str, Trial]
    evidence: Mapping[str, Evidence]
    compared: Sequence[Example]
    compared_indices: Sequence[int]
    """Where they are in the held-out data."""
    batch_buckets: tuple[int, ...]
    forgotten: Mapping[str, Forgotten]
    sheets: Mapping[str, bytes]
    """File of the package → content: what each variant forgot."""
    first_profiled: int = 0
    """Of the observations of a trial, the first that belongs to the profile."""
    rivals: Mapping[str, Mapping[str, Evidence]] = field(default_factory=dict)
    """Digest of another package → variant → what it is worth on the compared examples."""


def write_package(subject: Subject, recipe: ExportRecipe, proof: Proof, output: Path) -> ModelPackage:
    """Golden set, profiles and manifest beside the graphs, sealed."""
    precisions = {name: precision_of(variant.steps) for name, variant in recipe.variants.items()}
    tolerances = {name: replay_tolerance(precisions[name], trial.parity) for name, trial in proof.trials.items()}
    judge = next(iter(proof.trials.values())).judge
    decisive = {name: tolerances[name][trial.judge.decisive_output] for name, trial in proof.trials.items()}
    groups = [judge.group(example.target) for example in proof.compared]
    golden = [proof.compared[i] for i in choose_golden(proof.trials, decisive, groups, recipe.num_golden)]
    if not golden:
        raise GateFailed(
            f"{subject.name}: no held-out example whose decision all variants share for certain, so there is no golden "
            "set. A model that finds nothing yet ends here: train it longer, or leave out the variants that differ most"
        )
    variants = {}
    for name in order_variants(proof.evidence, {name: each.steps for name, each in recipe.variants.items()}):
        folder, built = output / name, proof.variants[name]
        answers, graph = golden_answers(built, golden, max(proof.batch_buckets))
        np.savez(folder / "golden.npz", **{output: answers[output] for output in tolerances[name]})  # type: ignore[arg-type]
        profile = build_profile(built.task.signal_specs(), proof.trials[name].observations[proof.first_profiled :])
        (folder / "profile.json").write_bytes(encode_profile(profile))
        variants[name] = Variant(
            precision=precisions[name],
            graphs={MAIN: proof.stored[name].settle(MAIN, graph, output)},
            requires=requirements_of(recipe.variants[name].steps),
            golden=GoldenOutputs(file=f"{name}/golden.npz", max_abs_difference=tolerances[name]),
            evidence=proof.evidence[name],
            profile=f"{name}/profile.json",
            task=None if built.task.spec == subject.task_spec else msgspec.to_builtins(built.task.spec),
        )
    write_sheets(output, proof.sheets)
    image = open_task(subject.task_spec).image_spec
    manifest = Manifest(
        name=subject.name,
        task=msgspec.to_builtins(subject.task_spec),
        image_sizes=((image.height, image.width),),
        batch_buckets=proof.batch_buckets,
        variants=variants,
        golden_inputs=write_golden(output, [example.payload for example in golden]),
        lineage=complete_lineage(subject.lineage, recipe),
        rivals={digest: dict(variants) for digest, variants in proof.rivals.items()},
    )
    package = seal_package(output, manifest)
    replay(package)
    return package


def replay(package: ModelPackage) -> None:
    """The server's own self-test, one picture at a time; of variants for a GPU, as this host runs them. Raises
    InvalidPackage."""
    for name, variant in package.manifest.variants.items():
        if variant.requires.provider == "cpu":
            runtime = open_runtime(package, name, ONE_THREAD)
        else:
            with TemporaryDirectory() as folder:
                runtime = open_on_host(write_plain_graph(package, name, MAIN, Path(folder)))
        replay_golden(package, name, open_task(package.task_spec_of(name)), runtime)
        runtime.close()


def order_variants(evidence: Mapping[str, Evidence], steps: Mapping[str, Sequence[Technique]]) -> list[str]:
    """Those for a GPU first, whose speed was not measured here: a host without one passes them by. Then by speed."""
    return sorted(order_by_speed(evidence), key=lambda name: requirements_of(steps[name]).provider != "cuda")


def order_by_speed(evidence: Mapping[str, Evidence]) -> list[str]:
    """Fastest first, in steps that noise does not explain; within a step the most faithful first.

    A server takes the first variant that its host can run, and int8 is not always the faster one (depthwise
    convolutions often are not)."""
    fastest = min(float(each.latency_ms["1"]) for each in evidence.values())

    def rank(name: str) -> tuple[int, float]:
        each = evidence[name]
        step = int((each.latency_ms["1"] / fastest - 1) / NOISE_SHARE)
        return step, -each.metrics["decision_agreement"]

    return sorted(evidence, key=rank)


def golden_answers(built: Built, golden: Sequence[Example], max_batch: int) -> tuple[dict[str, Array], Graph]:
    """What one variant answers to the golden set, of the outputs that can be compared, and its graph's description."""
    tensors = stack([item for items in decode_batches(built.task, golden) for item in items])
    runtime = open_on_host(built.path)
    answers = run_capped(runtime.run, tensors, max_batch)
    graph = Graph(file=built.path.name, inputs=runtime.inputs, outputs=runtime.outputs)
    runtime.close()
    return answers, graph
