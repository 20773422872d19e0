"""The last step of a generative export: golden set, profiles and manifest beside the graphs, sealed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from export.compress.block_weights import BlockWeights
from export.compress.steps import precision_of, requirements_of
from export.forgotten import Forgotten
from export.generative.golden import choose_prompts, golden_arrays
from export.generative.graph_speaker import GraphSpeaker
from export.generative.other_kernels import kernel_difference
from export.generative.passage import Passage
from export.generative.recipe import GenerativeRecipe, GenerativeVariant
from export.generative.subject import GenerativeSubject, asset_names
from export.generative.trial import GenerativeTrial
from export.generative.variants import GraphFiles
from export.golden import picture_suffix, replay_tolerance, write_golden
from export.graphs.graph_ends import describe_ends
from export.lineage import complete_lineage
from export.seal import order_variants
from export.stored_graphs import StoredGraphs
from export.tolerance_missed import write_sheets
from monitoring.profile import build_profile, encode_profile
from registry.decoder_interface import ENCODER, LOGITS
from registry.golden import CONTINUATION
from registry.manifest import Evidence, GoldenOutputs, Graph, Manifest, Variant
from registry.package import ModelPackage, seal_package
from registry.plain_graph import write_plain_graph
from serving.generation.self_test import replay_prompts
from tasks.captioning import CaptioningSpec
from tasks.generation import GenerativeTask


@dataclass(frozen=True)
class Proof:
    """What `write_package` seals: everything by variant."""

    stored: Mapping[str, StoredGraphs]
    trials: Mapping[str, GenerativeTrial]
    evidence: Mapping[str, Evidence]
    passages: Sequence[Passage]
    """In the order in which they were compared and continued."""
    forgotten: Mapping[str, Forgotten]
    sheets: Mapping[str, bytes]
    """File of the package → content: what each variant forgot."""
    rivals: Mapping[str, Mapping[str, Evidence]] = field(default_factory=dict)
    """Digest of another package → variant → what it is worth on the same passages."""


def write_package(
    subject: GenerativeSubject, task: GenerativeTask, recipe: GenerativeRecipe, proof: Proof, output: Path
) -> ModelPackage:
    """Golden set, profiles and manifest beside the graphs, sealed and replayed."""
    tolerances = {
        name: golden_tolerance(recipe.variants[name], trial, proof.stored[name].files, task.context)
        for name, trial in proof.trials.items()
    }
    continuations = {name: trial.continuations for name, trial in proof.trials.items()}
    chosen = choose_prompts(continuations, tolerances, recipe.num_golden, recipe.golden_tokens)
    for name, trial in proof.trials.items():
        golden = [trial.continuations[index] for index in chosen]
        logits, continuation = golden_arrays(golden, tolerances[name], recipe.golden_tokens)
        np.savez(output / name / "golden.npz", **{LOGITS: logits, CONTINUATION: continuation})  # type: ignore[arg-type]
        profile = build_profile(task.signal_specs(), trial.observations)
        (output / name / "profile.json").write_bytes(encode_profile(profile))
    write_sheets(output, proof.sheets)
    for name in asset_names(subject.task_spec):
        shutil.copyfile(subject.folder / name, output / name)
    payloads = [proof.passages[index].payload for index in chosen]
    spec = subject.task_spec
    image_sizes = ((spec.image.height, spec.image.width),) if isinstance(spec, CaptioningSpec) else ()
    manifest = Manifest(
        name=subject.name,
        task=msgspec.to_builtins(spec),
        image_sizes=image_sizes,
        batch_buckets=recipe.slots,
        variants={
            name: describe_variant(name, proof, recipe, tolerances[name], output)
            for name in order_variants(proof.evidence, {name: each.steps for name, each in recipe.variants.items()})
        },
        golden_inputs=write_golden(output, payloads, picture_suffix if image_sizes else text_suffix),
        lineage=complete_lineage(subject.lineage, recipe),
        rivals={digest: dict(variants) for digest, variants in proof.rivals.items()},
    )
    package = seal_package(output, manifest)
    replay(package)
    return package


def golden_tolerance(config: GenerativeVariant, trial: GenerativeTrial, graphs: GraphFiles, context: int) -> float:
    """How far a host's logits may be from those of this one: what other kernels were seen to do, or the share of their
    spread that `replay_tolerance` allows."""
    parity = {LOGITS: trial.parity}
    if not any(isinstance(step, BlockWeights) for step in config.steps):
        return replay_tolerance(precision_of(config.steps), parity)[LOGITS]
    floor = replay_tolerance("fp32", parity)[LOGITS]
    return max(floor, kernel_difference(graphs, trial.continuations, context))


def describe_variant(name: str, proof: Proof, recipe: GenerativeRecipe, tolerance: float, output: Path) -> Variant:
    return Variant(
        precision=precision_of(recipe.variants[name].steps),
        graphs={role: describe_graph(proof.stored[name], role, output) for role in proof.stored[name].files},
        requires=requirements_of(recipe.variants[name].steps),
        golden=GoldenOutputs(file=f"{name}/golden.npz", max_abs_difference={LOGITS: tolerance, CONTINUATION: 0.0}),
        evidence=proof.evidence[name],
        profile=f"{name}/profile.json",
    )


def describe_graph(stored: StoredGraphs, role: str, output: Path) -> Graph:
    inputs, outputs = describe_ends(stored.files[role])
    return stored.settle(role, Graph(file="", inputs=inputs, outputs=outputs), output)


def replay(package: ModelPackage) -> None:
    """The server's own self-test, with one slot. Raises InvalidPackage."""
    for name in package.manifest.variants:
        task = package.open_generative_task(name)
        with TemporaryDirectory() as folder:
            speaker = GraphSpeaker(plain_graphs(package, name, Path(folder)), 1, task.context, 1)
        replay_prompts(package, name, task, speaker.decoder, speaker.runtimes.get(ENCODER))
        speaker.close()


def plain_graphs(package: ModelPackage, variant: str, folder: Path) -> GraphFiles:
    """The ONNX files of a variant: where they are, or decoded into `folder`."""
    files = {}
    for role, graph in package.variant(variant).graphs.items():
        if graph.decodes_to is None:
            files[role] = package.graph_path(variant, role)
        else:
            (folder / role).mkdir()
            files[role] = write_plain_graph(package, variant, role, folder / role)
    return files


def text_suffix(payload: bytes) -> str:
    return ".txt"
