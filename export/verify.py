"""Every variant beside the trained model on held-out data: the evidence that the manifest carries, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from export.held_out import BATCH_SIZE, decode_batches, num_cores, stack
from export.host_runtime import open_on_host
from export.latency import Timing
from export.parity import Parity
from export.recipe import Tolerances
from export.subject import Example, Subject
from export.trial import Trial, answer
from registry.manifest import ClassEvidence, Evidence, GateResult
from serving.runtimes.compute_threads import ComputeThreads
from tasks.task import Task, open_task
from training.progress import track


@dataclass(frozen=True)
class Footprint:
    """What a variant costs."""

    num_bytes: int
    timings: Mapping[int, Timing]
    """By batch size."""


@dataclass(frozen=True)
class Variant:
    """One graph as it was written, and the task that is left to be done with its outputs."""

    path: Path
    task: Task


def run_trials(
    subject: Subject, variants: Mapping[str, Variant], compared: Sequence[Example], observed: Sequence[Example]
) -> dict[str, Trial]:
    """Puts every graph on trial: `compared` examples go through the trained model too, and into the profile like the
    further `observed` ones. Each picture is decoded once for all."""
    task = open_task(subject.task_spec)
    runtimes = {name: open_on_host(each.path, ComputeThreads(num_cores())) for name, each in variants.items()}
    trials = {name: Trial(each.task, task) for name, each in variants.items()}
    batches = chain(decode_batches(task, compared), decode_batches(task, observed))
    num_batches = -(-len(compared) // BATCH_SIZE) - (-len(observed) // BATCH_SIZE)
    num_seen = 0
    for items in track(batches, "verifying on held-out data", num_batches):
        tensors, is_compared = stack(items), num_seen < len(compared)
        trained = answer(task, subject.reference, items, tensors, subject.max_batch) if is_compared else None
        for name, trial in trials.items():
            variant = answer(variants[name].task, runtimes[name].run, items, tensors, subject.max_batch)
            trial.observe(items, variant)
            if trained is not None:
                trial.compare(items, trained, variant)
        num_seen += len(items)
    for runtime in runtimes.values():
        runtime.close()
    return trials


def weigh_evidence(trial: Trial, footprint: Footprint, tolerances: Tolerances) -> Evidence:
    """All that was measured of one variant, and the gates it passed or missed."""
    judged, per_class = trial.judge.metrics(), trial.judge.per_class()
    metrics = {
        **judged,
        "decision_agreement": sum(trial.agreed) / len(trial.agreed),
        **{f"max_difference_{name}": each.max for name, each in trial.parity.items()},
        **{f"mean_difference_{name}": each.mean for name, each in trial.parity.items()},
        **{f"latency_spread_{size}": timing.spread for size, timing in footprint.timings.items()},
    }
    return Evidence(
        metric=trial.judge.metric,
        num_examples=len(trial.agreed),
        metrics=metrics,
        per_class=per_class,
        latency_ms={str(size): timing.median_ms for size, timing in footprint.timings.items()},
        num_bytes=footprint.num_bytes,
        gates=(
            *loss_gates(metrics, trial.judge.metric, tolerances),
            class_gate(per_class, tolerances),
            *limit_gates(trial.parity, footprint, tolerances),
        ),
    )


def loss_gates(metrics: Mapping[str, float], metric: str, tolerances: Tolerances) -> tuple[GateResult, ...]:
    """What the variant lost as a whole."""
    agreement, drop = metrics["decision_agreement"], metrics[f"trained_{metric}"] - metrics[metric]
    increase = metrics["expected_calibration_error"] - metrics["trained_expected_calibration_error"]
    return (
        GateResult(
            name="decision_agreement",
            value=agreement,
            limit=tolerances.min_decision_agreement,
            passed=agreement >= tolerances.min_decision_agreement,
        ),
        at_most(f"{metric}_drop", drop, tolerances.max_metric_drop),
        at_most("calibration_increase", increase, tolerances.max_calibration_increase),
    )


def class_gate(per_class: Sequence[ClassEvidence], tolerances: Tolerances) -> GateResult:
    """The loss that the worst class certainly had: the near end of its interval, so that chance does not fail it."""
    certain_loss = max((-each.difference_high for each in per_class if each.support), default=0.0)
    return at_most("class_drop", max(0.0, certain_loss), tolerances.max_class_drop)


def limit_gates(parity: Mapping[str, Parity], footprint: Footprint, tolerances: Tolerances) -> tuple[GateResult, ...]:
    """Those of the optional limits that the recipe sets."""
    first = min(footprint.timings)
    limits = [
        ("relative_difference", max(each.relative for each in parity.values()), tolerances.max_relative_difference),
        ("num_bytes", float(footprint.num_bytes), tolerances.max_num_bytes),
        ("latency_ms", footprint.timings[first].median_ms, tolerances.max_latency_ms),
    ]
    return tuple(at_most(name, value, limit) for name, value, limit in limits if limit is not None)


def at_most(name: str, value: float, limit: float) -> GateResult:
    """NaN passes nothing."""
    return GateResult(name=name, value=value, limit=limit, passed=value <= limit)
