"""Every variant beside the trained model on held-out passages: the evidence that manifests carry, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.forgotten import Forgotten
from export.gates import at_most, class_gates, forgotten_gates
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
    metrics: Mapping[str, float]
    """What else there is to say of its size."""


@dataclass(frozen=True)
class Spoken:
    """What a variant says by itself: figures of its captions, and gates of all that it went on with."""

    metrics: Mapping[str, float]
    gates: Sequence[GateResult]


def run_trials(
    trained: Speaker,
    populations: Mapping[str, Sequence[GraphSpeaker]],
    task: GenerativeTask,
    passages: Sequence[Passage],
    recipe: GenerativeRecipe,
) -> dict[str, list[GenerativeTrial]]:
    """What each variant of every seed expects of all passages, and how it goes on from the first prompts."""
    trials = {name: [GenerativeTrial() for _ in speakers] for name, speakers in populations.items()}
    pairs = [pair for name, speakers in populations.items() for pair in zip(speakers, trials[name], strict=True)]
    for passage in track(passages, "verifying on held-out data", len(passages)):
        expected = trained.expect(open_prompt(task, passage.payload, trained)[0], passage.answer)
        for speaker, trial in pairs:
            prompt = open_prompt(task, passage.payload, speaker)[0]
            trial.compare(passage, expected, speaker.expect(prompt, passage.answer))
    continued = passages[: recipe.num_continuations]
    for speaker, trial in pairs:
        prompts = [open_prompt(task, each.payload, speaker)[0] for each in continued]
        trial.continuations = continue_prompts(speaker.decoder, prompts, recipe.continuation_tokens, task.end_tokens)
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
    forgotten: Forgotten,
    footprint: Footprint,
    tolerances: GenerativeTolerances,
    spoken: Spoken,
) -> Evidence:
    """All that was measured of one variant, and the gates it passed or missed. `forgotten`: by its whole population."""
    per_class = trial.per_class()
    metrics = {
        **trial.metrics(),
        **spoken.metrics,
        **forgotten.metrics(),
        "max_difference_logits": trial.parity.max,
        "mean_difference_logits": trial.parity.mean,
        "num_continuations": float(len(trial.continuations)),
        **footprint.metrics,
        **{f"latency_spread_{size}": timing.spread for size, timing in footprint.timings.items()},
    }
    return Evidence(
        metric=METRIC,
        better="lower",
        num_examples=len(trial.passages),
        metrics=metrics,
        per_class=per_class,
        latency_ms={str(size): timing.median_ms for size, timing in footprint.timings.items()},
        num_bytes=footprint.num_bytes,
        gates=(
            *loss_gates(metrics, forgotten, tolerances),
            *class_gates(per_class, forgotten.classes, len(forgotten.seeds), tolerances.class_limit),
            *forgotten_gates(forgotten, tolerances.max_calibration_increase, tolerances.max_changed_share),
            *spoken.gates,
            *limit_gates(trial, footprint, tolerances),
        ),
    )


def loss_gates(
    metrics: Mapping[str, float], forgotten: Forgotten, tolerances: GenerativeTolerances
) -> tuple[GateResult, ...]:
    """What the variant lost, and what such variants lose on average over the seeds."""
    agreement, figure, calibration = metrics["decision_agreement"], forgotten.figure, forgotten.calibration_error
    limit = tolerances.max_bits_per_byte_increase
    gates = [
        GateResult(
            name="decision_agreement",
            value=agreement,
            limit=tolerances.min_decision_agreement,
            passed=agreement >= tolerances.min_decision_agreement,
        ),
        at_most(f"{METRIC}_increase", figure.by_seed[0] / max(1e-9, figure.trained) - 1, limit),
    ]
    if len(forgotten.seeds) > 1:
        gates.append(at_most(f"{METRIC}_increase_over_seeds", figure.mean / max(1e-9, figure.trained) - 1, limit))
    if tolerances.max_calibration_increase is not None:
        increase = calibration.by_seed[0] - calibration.trained
        gates.append(at_most("calibration_increase", increase, tolerances.max_calibration_increase))
    return tuple(gates)


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
