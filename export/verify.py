"""Every variant beside the trained model on held-out data: the evidence that the manifest carries, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from export.forgotten import Answered, Forgotten, Member
from export.gates import at_most, class_gates, forgotten_gates
from export.held_out import BATCH_SIZE, decode_batches, num_cores, stack
from export.host_runtime import open_on_host
from export.latency import Timing
from export.parity import Parity
from export.recipe import Tolerances, VariantConfig
from export.subject import Example, Subject
from export.trial import Trial, answer
from registry.manifest import Evidence, GateResult
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.runtime import Runtime
from tasks.task import Task, open_task
from training.progress import track


@dataclass(frozen=True)
class Footprint:
    """What a variant costs."""

    num_bytes: int
    timings: Mapping[int, Timing]
    """By batch size."""
    metrics: Mapping[str, float]
    """What else there is to say of its size."""


@dataclass(frozen=True)
class Variant:
    """One graph as it was written, and the task that is left to be done with its outputs."""

    path: Path
    task: Task


def run_trials(
    subject: Subject,
    populations: Mapping[str, Sequence[Variant]],
    compared: Sequence[Example],
    observed: Sequence[Example],
) -> dict[str, list[Trial]]:
    """Puts every graph on trial: `compared` examples go through the trained model too, and into the profile like the
    further `observed` ones. Each picture is decoded once for all.

    `populations`: variant → the packaged one first, then those from other seeds, which are only compared."""
    task = open_task(subject.task_spec)
    runtimes = {name: [open_graph(each) for each in population] for name, population in populations.items()}
    trials = {name: [Trial(each.task, task) for each in population] for name, population in populations.items()}
    batches = chain(decode_batches(task, compared), decode_batches(task, observed))
    num_batches = -(-len(compared) // BATCH_SIZE) - (-len(observed) // BATCH_SIZE)
    num_seen = 0
    for items in track(batches, "verifying on held-out data", num_batches):
        tensors, is_compared = stack(items), num_seen < len(compared)
        trained = answer(task, subject.reference, items, tensors, subject.max_batch) if is_compared else None
        for name, population in populations.items():
            wanted = zip(population if is_compared else population[:1], runtimes[name], trials[name], strict=False)
            for place, (variant, runtime, trial) in enumerate(wanted):
                found = answer(variant.task, runtime.run, items, tensors, subject.max_batch)
                if place == 0:
                    trial.observe(items, found)
                if trained is not None:
                    trial.compare(items, trained, found)
        num_seen += len(items)
    for runtime in chain.from_iterable(runtimes.values()):
        runtime.close()
    return trials


def open_graph(variant: Variant) -> Runtime:
    """On every core."""
    return open_on_host(variant.path, ComputeThreads(num_cores()))


def member_of(trial: Trial) -> Member:
    """What one variant showed, for what its population forgot."""
    judge = trial.judge
    return Member(
        metrics=judge.metrics(),
        per_class=judge.per_class(),
        conclusions=[after for _, after in judge.conclusions()],
        worths=[after for _, after in judge.worths()],
    )


def answers_of(trial: Trial, truths: Sequence[str], indices: Sequence[int]) -> Answered:
    """What the trained model showed in a trial. `truths`, `indices`: of the compared examples, what a model would
    conclude that is right, and where they are in the held-out data."""
    return Answered(
        indices=indices,
        truths=truths,
        conclusions=[before for before, _ in trial.judge.conclusions()],
        worths=[before for before, _ in trial.judge.worths()],
    )


def weigh_evidence(
    trial: Trial, member: Member, forgotten: Forgotten, footprint: Footprint, config: VariantConfig
) -> Evidence:
    """All that was measured of one variant, and the gates it passed or missed. `member`: what its trial showed;
    `forgotten`: by its whole population."""
    tolerances = config.tolerances
    metrics = {
        **member.metrics,
        "decision_agreement": sum(trial.agreed) / len(trial.agreed),
        **forgotten.metrics(),
        **{f"max_difference_{name}": each.max for name, each in trial.parity.items()},
        **{f"mean_difference_{name}": each.mean for name, each in trial.parity.items()},
        **footprint.metrics,
        **{f"latency_spread_{size}": timing.spread for size, timing in footprint.timings.items()},
    }
    classes = class_gates(member.per_class, forgotten.classes, len(forgotten.seeds), tolerances.class_limit)
    return Evidence(
        metric=trial.judge.metric,
        num_examples=len(trial.agreed),
        metrics=metrics,
        per_class=tuple(member.per_class),
        latency_ms={str(size): timing.median_ms for size, timing in footprint.timings.items()},
        num_bytes=footprint.num_bytes,
        gates=(
            *loss_gates(metrics, forgotten, tolerances),
            *classes,
            *forgotten_gates(forgotten, tolerances.max_calibration_increase, tolerances.max_changed_share),
            *limit_gates(trial.parity, footprint, tolerances),
        ),
    )


def loss_gates(metrics: Mapping[str, float], forgotten: Forgotten, tolerances: Tolerances) -> tuple[GateResult, ...]:
    """What the variant lost as a whole, and what such variants lose on average over the seeds."""
    agreement, figure = metrics["decision_agreement"], forgotten.figure
    increase = metrics["expected_calibration_error"] - metrics["trained_expected_calibration_error"]
    gates = [
        GateResult(
            name="decision_agreement",
            value=agreement,
            limit=tolerances.min_decision_agreement,
            passed=agreement >= tolerances.min_decision_agreement,
        ),
        at_most(f"{forgotten.metric}_drop", figure.trained - figure.by_seed[0], tolerances.max_metric_drop),
        at_most("calibration_increase", increase, tolerances.max_calibration_increase),
    ]
    if len(forgotten.seeds) > 1:
        drop = figure.trained - figure.mean
        gates.append(at_most(f"{forgotten.metric}_drop_over_seeds", drop, tolerances.max_metric_drop))
    return tuple(gates)


def limit_gates(parity: Mapping[str, Parity], footprint: Footprint, tolerances: Tolerances) -> tuple[GateResult, ...]:
    """Those of the optional limits that the recipe sets."""
    first = min(footprint.timings)
    limits = [
        ("relative_difference", max(each.relative for each in parity.values()), tolerances.max_relative_difference),
        ("num_bytes", float(footprint.num_bytes), tolerances.max_num_bytes),
        ("latency_ms", footprint.timings[first].median_ms, tolerances.max_latency_ms),
    ]
    return tuple(at_most(name, value, limit) for name, value, limit in limits if limit is not None)
