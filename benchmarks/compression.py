"""What every compression technique saves and what it costs: one table for a model of pictures, one for a decoder.

    python -m benchmarks.compression [--model digits] [--model stdlib-llama] [--technique int8-static] [--seconds 2]
    python -m benchmarks.compression --bars

Every recipe that extends another is a technique. All that make sense for a model are built in one export: from the
same trained network, tried on the same held-out examples, timed in the same rounds on one thread. A model that the
store does not hold yet is trained first, by the recipe of its name. Gates decide nothing here: what misses one is told.

With `--bars`, on a ResNet-18 of full width: int8 and half of the channels must each be 1.8 times as fast as float32.
And on that and on a VGG: Deep Compression must make the file 35 times smaller at no more than half a point of accuracy.
Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.compression_table import FLOAT, Timings, Tried, format_tried
from benchmarks.machine import CpuTimes, describe_machine
from export.compress.steps import network_steps, requirements_of
from export.export_checkpoint import check_variants
from export.recipe import RECIPES, AnyRecipe, ExportRecipe, NamedRecipe
from export.stages_report import format_stages
from export.table import percent
from registry.manifest import Evidence
from tasks.errors import InvalidRecipe, NotFound
from training.checkpoint import Checkpoint
from training.recipe import TaskName

MODELS = ("digits", "stdlib-llama")
BAR_MODEL, BAR_TECHNIQUES, BAR_BATCHES, BAR_RATIO = "digits-resnet18", ("int8-minmax", "channel-pruning"), (1, 8), 1.8
STORED_MODELS, STORED_TECHNIQUE, STORED_RATIO, STORED_DROP = ("digits-vgg", BAR_MODEL), "deep-compression", 35.0, 0.005
BATCHES = (1, 16)
NUM_CALIBRATION = 64
"""Pictures for a first look at whether a graph can be quantized at all."""


def techniques() -> tuple[str, ...]:
    """The bundled recipes that extend another and bring steps of their own."""
    found = {name: RECIPES.read(name, ()).facts for name in RECIPES.names()}
    return tuple(
        name
        for name, facts in found.items()
        if "extends" in facts and all(variant["steps"] for variant in facts["variants"].values())
    )


def combined_recipe(task: TaskName, asked: Sequence[str], overrides: Sequence[str]) -> tuple[AnyRecipe, dict[str, str]]:
    """The quick recipe of a task with the variants of all techniques, and why each of the others is not for it. Raises
    InvalidRecipe for overrides that one of them does not have."""
    variants: dict[str, Any] = {}
    refused: dict[str, str] = {}
    plain: AnyRecipe | None = None
    for name in asked:
        named = NamedRecipe(name, ["extends=quick", *overrides])
        try:
            recipe = named.for_task(task)
            check_variants(recipe, task)
        except InvalidRecipe as reason:
            refused[name] = str(reason).split(": ")[-1]
            continue
        plain = recipe
        own = {key: value for key, value in recipe.variants.items() if key != FLOAT}
        variants |= {name if len(own) == 1 else f"{name}, {key}": value for key, value in own.items()}
    if plain is None:
        raise SystemExit(f"no technique of {', '.join(asked)} is for {task}: {refused}")
    return msgspec.structs.replace(plain, variants={FLOAT: plain.variants[FLOAT], **variants}), refused


@contextmanager
def open_model(name: str) -> Iterator[Checkpoint]:
    """The newest trained model of this name; trained now if there is none. Its folder is there as long as the context:
    a language model's tokenizer is read from it when the model is exported."""
    from tidegate.lifecycle import require_tracking, train_model
    from training.checkpoint import load_checkpoint
    from training.recipe import load_recipe
    from training.registered import newest_checkpoint

    with tempfile.TemporaryDirectory(prefix="tidegate-compression-") as folder:
        try:
            trained = newest_checkpoint(require_tracking(None), name, Path(folder)).folder
        except NotFound:
            trained = train_model(load_recipe(name), None).folder
        yield load_checkpoint(trained)


def refused_graphs(checkpoint: Checkpoint, recipe: ExportRecipe) -> dict[str, str]:
    """Why variants can not be made of the very graph of this model, of those that change nothing but the graph: known
    before anything has learnt on for minutes."""
    from export.held_out import decode_batches, draw, stack
    from export.torch_subject import subject_of_checkpoint
    from export.variants import VariantBuilder
    from tasks.task import open_task

    subject, refused = subject_of_checkpoint(checkpoint), {}
    examples = draw(subject.data.calibration, NUM_CALIBRATION, recipe.seed)
    batches = [stack(items) for items in decode_batches(open_task(subject.task_spec), examples)]
    with tempfile.TemporaryDirectory(prefix="tidegate-compression-") as folder:
        builder = VariantBuilder(subject, recipe, batches, Path(folder))
        for name, config in recipe.variants.items():
            if network_steps(config.steps):
                continue
            try:
                builder.build(name, config)
            except InvalidRecipe as reason:
                refused[name] = str(reason).split(": ")[-1]
    return refused


def try_all(checkpoint: Checkpoint, recipe: AnyRecipe, batches: Sequence[int], seconds: float) -> Tried:
    """Builds all variants of a recipe and measures them."""
    with tempfile.TemporaryDirectory(prefix="tidegate-compression-") as folder:
        if isinstance(recipe, ExportRecipe):
            evidence, timings = try_pictures(checkpoint, recipe, Path(folder), batches, seconds)
        else:
            evidence, timings = try_decoder(checkpoint, recipe, Path(folder), batches, seconds)
    needs = {name: requirements_of(variant.steps).provider for name, variant in recipe.variants.items()}
    return Tried(evidence, timings, frozenset(name for name, provider in needs.items() if provider != "cpu"))


def try_pictures(
    checkpoint: Checkpoint, recipe: ExportRecipe, folder: Path, batches: Sequence[int], seconds: float
) -> tuple[Mapping[str, Evidence], Timings]:
    from export.held_out import decode_batches, stack
    from export.latency import measure_latency
    from export.pipeline import build_and_weigh
    from export.torch_subject import subject_of_checkpoint
    from tasks.task import open_task

    subject = subject_of_checkpoint(checkpoint)
    proof = build_and_weigh(subject, recipe, folder)
    examples = list(islice(cycle(proof.compared), max(batches)))
    task = open_task(checkpoint.task_spec)
    inputs = stack([item for items in decode_batches(task, examples) for item in items])
    graphs = {name: each.path for name, each in proof.variants.items()}
    timings = measure_latency(graphs, inputs, batches, seconds)
    return proof.evidence, {name: {size: t.median_ms for size, t in each.items()} for name, each in timings.items()}


def try_decoder(
    checkpoint: Checkpoint, recipe: AnyRecipe, folder: Path, batches: Sequence[int], seconds: float
) -> tuple[Mapping[str, Evidence], Timings]:
    from export.generative.checkpoint_subject import subject_of_checkpoint
    from export.generative.graph_speaker import GraphSpeaker
    from export.generative.latency import measure_steps
    from export.generative.pipeline import build_and_weigh
    from export.generative.recipe import GenerativeRecipe
    from tasks.generation import open_generative_task

    assert isinstance(recipe, GenerativeRecipe)
    subject = subject_of_checkpoint(checkpoint)
    task = open_generative_task(subject.task_spec, subject.folder)
    proof = build_and_weigh(subject, task, recipe, folder)
    speakers = {name: GraphSpeaker(each.files, max(batches), task.context, 1) for name, each in proof.stored.items()}
    timings = measure_steps(speakers, task, batches, seconds)
    for speaker in speakers.values():
        speaker.close()
    return proof.evidence, {name: {size: t.median_ms for size, t in each.items()} for name, each in timings.items()}


def show_table(name: str, asked: Sequence[str], overrides: Sequence[str], seconds: float) -> None:
    """Builds, measures and prints every technique that makes sense for a model."""
    with open_model(name) as checkpoint:
        task = checkpoint.recipe.task
        recipe, refused = combined_recipe(task, asked, overrides)
        if isinstance(recipe, ExportRecipe):
            refused |= refused_graphs(checkpoint, recipe)
            possible = {key: value for key, value in recipe.variants.items() if key not in refused}
            recipe = msgspec.structs.replace(recipe, variants=possible)
        tried = try_all(checkpoint, recipe, BATCHES, seconds)
    print(f"\n{name}, {task}\n{format_tried(tried, BATCHES)}\n\n{format_stages(tried.evidence)}")
    for technique, reason in refused.items():
        print(f"{technique}: not for {task}, {reason}")


def show_bars(overrides: Sequence[str], seconds: float) -> bool:
    """What must be faster and what must be smaller. Was all of it?"""
    faster = show_speed_bars(overrides, seconds)
    smaller = [show_storage_bar(name, overrides, seconds) for name in STORED_MODELS]
    return faster and all(smaller)


def show_storage_bar(name: str, overrides: Sequence[str], seconds: float) -> bool:
    """Deep Compression of one model. Is it small enough, and good enough?"""
    with open_model(name) as checkpoint:
        recipe, _ = combined_recipe(checkpoint.recipe.task, (STORED_TECHNIQUE,), overrides)
        tried = try_all(checkpoint, recipe, BAR_BATCHES, seconds)
    print(f"\n{name}\n{format_tried(tried, BAR_BATCHES)}\n\n{format_stages(tried.evidence)}")
    plain, stored = tried.evidence[FLOAT], tried.evidence[STORED_TECHNIQUE]
    ratio, drop = plain.num_bytes / stored.num_bytes, stored.loss_against(plain)
    passed = ratio >= STORED_RATIO and drop <= STORED_DROP
    small = f"{ratio:.1f}× ≥ {STORED_RATIO:g}"
    good = f"{100 * drop:.2f} ≤ {100 * STORED_DROP:g} points lost"
    print(f"{STORED_TECHNIQUE} of {name}: {small}, {good}   {'pass' if passed else 'MISS'}")
    return passed


def show_speed_bars(overrides: Sequence[str], seconds: float) -> bool:
    """The two techniques that must be faster. Were both?"""
    with open_model(BAR_MODEL) as checkpoint:
        recipe, _ = combined_recipe(checkpoint.recipe.task, BAR_TECHNIQUES, overrides)
        tried = try_all(checkpoint, recipe, BAR_BATCHES, seconds)
    print(f"\n{BAR_MODEL}\n{format_tried(tried, BAR_BATCHES)}")
    passed = True
    for name in BAR_TECHNIQUES:
        for size in BAR_BATCHES:
            ratio = tried.speedup(name, size)
            passed &= ratio >= BAR_RATIO
            print(f"{name} at batch {size}: {ratio:.2f}× ≥ {BAR_RATIO}   {'pass' if ratio >= BAR_RATIO else 'MISS'}")
    return passed


def main(arguments: Sequence[str]) -> int:
    """Prints the tables or the bars; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.compression", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", help=f"a recipe of training; default: {', '.join(MODELS)}")
    parser.add_argument("--technique", action="append", choices=techniques(), help="default: all")
    parser.add_argument("--set", action="append", default=[], help="change a field of every recipe")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing each variant at each batch size")
    parser.add_argument("--bars", action="store_true", help="judge what must be faster, and what must be smaller")
    asked = parser.parse_args(arguments)
    print(describe_machine())
    times, passed = CpuTimes.now(), True
    for name in asked.model or (() if asked.bars else MODELS):
        show_table(name, asked.technique or techniques(), asked.set, asked.seconds)
    if asked.bars:
        passed = show_bars(asked.set, asked.seconds)
    print(f"\nstolen by the host meanwhile: {percent(CpuTimes.now().stolen_share_since(times))}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
