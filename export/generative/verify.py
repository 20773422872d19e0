"""Every variant beside the trained model on held-out passages: the evidence that manifests carry, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.gates import at_most
from export.generative.continuation import Continuation, continue_prompts, find_divergence
from export.generative.graph_speaker import GraphSpeaker
from export.generative.passage import Passage
from export.generative.recipe import GenerativeRecipe, GenerativeTolerances
from export.generative.speaker import Speaker, open_prompt
from export.generative.trial import GenerativeTrial
from export.latency import Timing
from registry.manifest import Evidence, GateResult
from tasks.generation import GenerativeTask
from training.progress import track

METRIC = "bits_per_byte"


@dataclass(frozen=True)
class Footprint:
    """What a variant costs: bytes of all its files, and the time of a step by the number of rows."""

    num_bytes: int
    timings: Mapping[int, Timing]


def run_trials(
    trained: Speaker,
    speakers: Mapping[str, GraphSpeaker],
    task: GenerativeTask,
    passages: Sequence[Passage],
    recipe: GenerativeRecipe,
) -> dict[str, GenerativeTrial]:
    """What each variant expects of all passages, and how it goes on from the first prompts."""
    trials = {name: GenerativeTrial() for name in speakers}
    for passage in track(passages, "verifying on held-out data", len(passages)):
        expected = trained.expect(open_prompt(task, passage.payload, trained)[0], passage.answer)
        for name, speaker in speakers.items():
            prompt = open_prompt(task, passage.payload, speaker)[0]
            trials[name].compare(passage, expected, speaker.expect(prompt, passage.answer))
    continued = passages[: recipe.num_continuations]
    for name, speaker in speakers.items():
        prompts = [open_prompt(task, each.payload, speaker)[0] for each in continued]
        trials[name].continuations = continue_prompts(
            speaker.decoder, prompts, recipe.continuation_tokens, task.end_tokens
        )
    return trials


def continuation_gate(
    trained: Speaker, task: GenerativeTask, passages: Sequence[Passage], continuations: Sequence[Continuation]
) -> GateResult:
    """Prompts that the trained model would have continued otherwise: none may be."""
    changed = []
    for passage, each in zip(passages, continuations, strict=False):
        place = find_divergence(trained, open_prompt(task, passage.payload, trained)[0], each)
        if place is not None:
            changed.append(f"at token {place + 1} after a prompt of {each.prompt.length}")
    detail = f"of {len(continuations)} prompts" + (f", the first {changed[0]}" if changed else "")
    return GateResult(name="continuations_changed", value=len(changed), limit=0, passed=not changed, detail=detail)


def weigh_evidence(
    trial: GenerativeTrial,
    footprint: Footprint,
    tolerances: GenerativeTolerances,
    extra_metrics: Mapping[str, float],
    extra_gates: Sequence[GateResult],
) -> Evidence:
    """All that was measured of one variant, and the gates it passed or missed."""
    metrics = {
        **trial.metrics(),
        **extra_metrics,
        "max_difference_logits": trial.parity.max,
        "mean_difference_logits": trial.parity.mean,
        "num_continuations": float(len(trial.continuations)),
        **{f"latency_spread_{size}": timing.spread for size, timing in footprint.timings.items()},
    }
    return Evidence(
        metric=METRIC,
        better="lower",
        num_examples=trial.num_passages,
        metrics=metrics,
        per_class=(),
        latency_ms={str(size): timing.median_ms for size, timing in footprint.timings.items()},
        num_bytes=footprint.num_bytes,
        gates=(*loss_gates(metrics, tolerances), *extra_gates, *limit_gates(trial, footprint, tolerances)),
    )


def loss_gates(metrics: Mapping[str, float], tolerances: GenerativeTolerances) -> tuple[GateResult, ...]:
    """What the variant lost."""
    agreement = metrics["decision_agreement"]
    increase = metrics[METRIC] / max(1e-9, metrics[f"trained_{METRIC}"]) - 1
    return (
        GateResult(
            name="decision_agreement",
            value=agreement,
            limit=tolerances.min_decision_agreement,
            passed=agreement >= tolerances.min_decision_agreement,
        ),
        at_most(f"{METRIC}_increase", increase, tolerances.max_bits_per_byte_increase),
    )


def limit_gates(
    trial: GenerativeTrial, footprint: Footprint, tolerances: GenerativeTolerances
) -> tuple[GateResult, ...]:
    """Those of the optional limits that the recipe sets."""
    first = footprint.timings[min(footprint.timings)]
    limits = [
        ("relative_difference", trial.parity.relative, tolerances.max_relative_difference),
        ("num_bytes", float(footprint.num_bytes), tolerances.max_num_bytes),
        ("latency_ms", first.median_ms, tolerances.max_latency_ms),
    ]
    return tuple(at_most(name, value, limit) for name, value, limit in limits if limit is not None)


def size_of(graphs: Mapping[str, Path]) -> int:
    """Bytes of graphs and of the weights beside them."""
    return sum(file.stat().st_size for path in graphs.values() for file in path.parent.glob(f"{path.name}*"))
