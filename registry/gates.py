"""The gates between a version and an alias: pure functions of what two packages say about themselves.

A candidate is held against the champion variant by variant, like with like: by what the candidate's package says that
very champion is worth on its own held-out examples, where it was tried on them, else by what the champion's says.

Classes are few and their pictures fewer, so a class counts as harmed only where chance does not explain the drop: the
lower end of the interval of Agresti & Caffo (2000) for a difference of two proportions, one-sided and corrected for the
number of comparisons (Bonferroni), must lie beyond the tolerance. The interval takes the two samples as independent;
where both versions were measured on the same pictures it is wider than it need be, never narrower.

What is forgotten of the data that the champion knew must not hide behind what was learnt of data that were added since,
nor the reverse: where the held-out examples are of both, each part has a gate of its own. Of a part, too, only that
counts which chance does not explain: the lower end of the interval of the loss, which knows that both versions answered
the same examples.

Every figure is finite, because an event is kept as JSON, which has no other: what can not be computed fails a gate of
its own that says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Annotated

import msgspec

from registry.manifest import ClassEvidence, Evidence, GateResult, PartEvidence, PartName, Share, loss_of
from registry.package import ModelPackage
from tasks.errors import TidegateError

MAX_CLASS_ROWS = 20
"""Of classes that dropped too far, the worst get a row each; a model with a thousand labels may have lost them all."""
ROUNDING_DIGITS = 12
"""0.95 − 0.945 is a hair more than 0.005 in floating point, and must not fail a tolerance of 0.005."""


class PromotionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version must keep to. Drops are in the task's own metric, against the current champion (see
    `Evidence.loss_against` for metrics that are better the lower they are); budgets are for the first variant that does
    not ask for a GPU, which is the one that servers take where they can, None where there is no budget."""

    max_metric_drop: Share = 0.005
    max_class_drop: Share = 0.02
    significance: Annotated[float, msgspec.Meta(ge=1e-6, le=0.5)] = 0.05
    """Chance that a version which is no worse fails because of its classes; and the same because of a part."""
    max_latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Single-thread, batch 1, on the host that exported."""
    max_num_bytes: Annotated[int, msgspec.Meta(gt=0)] | None = None
    min_golden_inputs: Annotated[int, msgspec.Meta(ge=1)] = 1
    min_profile_images: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(candidate: ModelPackage, champion: ModelPackage | None, policy: PromotionPolicy) -> tuple[GateResult, ...]:
    """Every gate with the figure it saw. Without a champion nothing can have dropped."""
    gates = [parity_gate(candidate), golden_gate(candidate, policy), profile_gate(candidate, policy)]
    gates += budget_gates(candidate, policy)
    if champion is not None:
        pairs = list(pair_variants(candidate, champion))
        comparable = [pair for pair in pairs if are_comparable(*pair)]
        gates.append(comparison_gate(pairs, len(comparable)))
        gates += drop_gates(comparable, policy)
        gates += part_gates(candidate, champion.digest, policy)
    return tuple(gates)


def unreadable_champion_gate(error: TidegateError) -> GateResult:
    """What to hold the candidate against is gone or damaged: a person has to decide, and to say why."""
    return count_gate("unreadable_champion", 1, str(error))


def at_most(name: str, value: float, limit: float, detail: str = "") -> GateResult:
    return GateResult(name=name, value=value, limit=limit, passed=value <= limit, detail=detail)


def at_least(name: str, value: float, limit: float) -> GateResult:
    return GateResult(name=name, value=value, limit=limit, passed=value >= limit)


def count_gate(name: str, count: int, detail: str) -> GateResult:
    """A gate that allows none; the detail says which, where there are some."""
    return at_most(name, count, 0, detail if count else "")


def parity_gate(candidate: ModelPackage) -> GateResult:
    """Variants that failed a gate of their own export."""
    failed = [name for name, variant in candidate.manifest.variants.items() if not variant.evidence.passed]
    return count_gate("parity_failures", len(failed), f"{', '.join(failed)} failed at export")


def golden_gate(candidate: ModelPackage, policy: PromotionPolicy) -> GateResult:
    return at_least("golden_inputs", len(candidate.manifest.golden_inputs), policy.min_golden_inputs)


def profile_gate(candidate: ModelPackage, policy: PromotionPolicy) -> GateResult:
    """Pictures behind the smallest reference profile."""
    sizes = [profile_images(candidate, variant) for variant in candidate.manifest.variants]
    return at_least("profile_images", min(sizes), policy.min_profile_images)


def profile_images(candidate: ModelPackage, variant: str) -> int:
    """The one fact needed of a profile here; the rest is monitoring's business. 0 where it can not be read."""
    try:
        found = msgspec.json.decode(candidate.profile_bytes(variant), type=ProfileHead)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError):
        return 0
    return found.num_images


class ProfileHead(msgspec.Struct, frozen=True):
    """The field of a profile that says how much it rests on."""

    num_images: int


def budget_gates(candidate: ModelPackage, policy: PromotionPolicy) -> Iterator[GateResult]:
    """Of the first variant that runs where packages are made: variants for a GPU were timed without one."""
    variants = candidate.manifest.variants
    timed = [name for name, variant in variants.items() if variant.requires.provider == "cpu"]
    name = (timed or list(variants))[0]
    evidence = variants[name].evidence
    if policy.max_latency_ms is not None:
        if "1" in evidence.latency_ms:
            yield at_most("latency_ms", evidence.latency_ms["1"], policy.max_latency_ms, f"of {name}")
        else:
            yield count_gate("latency_unknown", 1, f"{name} was not timed at batch 1; export it again")
    if policy.max_num_bytes is not None:
        yield at_most("num_bytes", evidence.num_bytes, policy.max_num_bytes, f"of {name}")


Pair = tuple[Evidence, Evidence]
"""The candidate's evidence for a variant, and the champion's."""


def pair_variants(candidate: ModelPackage, champion: ModelPackage) -> Iterator[Pair]:
    """By variant; one that the champion lacks is held against its first."""
    theirs = {name: variant.evidence for name, variant in champion.manifest.variants.items()}
    theirs |= candidate.manifest.rivals.get(champion.digest, {})
    first = next(iter(theirs.values()))
    for name, variant in candidate.manifest.variants.items():
        yield variant.evidence, theirs.get(name, first)


def are_comparable(new: Evidence, old: Evidence) -> bool:
    """Do both hold a figure of the same metric?"""
    same = (new.metric, new.better) == (old.metric, old.better)
    return same and new.metric in new.metrics and old.metric in old.metrics


def comparison_gate(pairs: Sequence[Pair], num_comparable: int) -> GateResult:
    """Variants that can not be held against the champion's: another metric, or none on record."""
    found = " and ".join(sorted({f"{new.metric} against {old.metric}" for new, old in pairs}))
    return count_gate("incomparable_variants", len(pairs) - num_comparable, f"the metrics are {found}")


def drop_gates(pairs: Sequence[Pair], policy: PromotionPolicy) -> Iterator[GateResult]:
    """The largest drop of the task's metric over the variants, then the classes."""
    if not pairs:
        return
    worst = max(new.loss_against(old) for new, old in pairs)
    yield at_most("metric_drop", round(worst, ROUNDING_DIGITS), policy.max_metric_drop, f"{pairs[0][0].metric} lost")
    yield from class_gates(pairs, policy)


def part_gates(candidate: ModelPackage, champion: str, policy: PromotionPolicy) -> Iterator[GateResult]:
    """The certain part of what the worst variant lost of the data that the champion (a digest) knew, which may be as
    much as of all data, and of what was added, which may be nothing. No row where it was not measured."""
    evidences = {name: variant.evidence for name, variant in candidate.manifest.variants.items()}
    measured = {name: each.parts[champion] for name, each in evidences.items() if champion in each.parts}
    z = critical_value(policy.significance / max(1, sum(map(len, measured.values()))))
    limits: tuple[tuple[PartName, float], ...] = (("known", policy.max_metric_drop), ("added", 0.0))
    for part, limit in limits:
        found = {name: parts[part] for name, parts in measured.items() if part in parts}
        losses = {name: least_loss(each, evidences[name], z) for name, each in found.items()}
        if losses:
            worst = max(losses, key=lambda name: losses[name])
            detail = spell_part(part, evidences[worst].metric, found[worst]) + f", {worst}"
            yield at_most(f"{part}_data_drop", round(losses[worst], ROUNDING_DIGITS), limit, detail)


def least_loss(part: PartEvidence, evidence: Evidence, z: float) -> float:
    """Lower end of the interval of what a variant lost."""
    return loss_of(part.variant, part.rival, evidence.better) - z * part.standard_error


def spell_part(part: PartName, metric: str, found: PartEvidence) -> str:
    """Both figures, in words."""
    which = "of the champion's data" if part == "known" else "that were added"
    return f"{metric} {found.rival:.4f}, now {found.variant:.4f}, on {found.num_examples} examples {which}"


def critical_value(significance: float) -> float:
    """Of the normal distribution, one-sided."""
    return -NormalDist().inv_cdf(significance)


def class_gates(pairs: Sequence[Pair], policy: PromotionPolicy) -> Iterator[GateResult]:
    """The certain part of the worst drop over all classes, then a row for each class that is beyond the tolerance."""
    unproved = sorted({label for new, old in pairs for label in unproved_labels(new.per_class, old.per_class)})
    drops: dict[str, float] = {}
    for new, old in pairs:
        significance = policy.significance / max(1, len(old.per_class) * len(pairs))
        for label, drop in certain_drops(new.per_class, old.per_class, significance):
            drops[label] = max(drop, drops.get(label, -1.0))
    if not drops:
        return
    yield count_gate("unproved_classes", len(unproved), f"no example of {listed(unproved)} in the candidate's evidence")
    beyond = sorted((label for label in drops if drops[label] > policy.max_class_drop), key=lambda label: -drops[label])
    yield at_most("class_drop", max(drops.values()), policy.max_class_drop, f"{len(beyond)} of {len(drops)} classes")
    for label in beyond[:MAX_CLASS_ROWS]:
        yield at_most(f"class_drop of {label}", drops[label], policy.max_class_drop)


def unproved_labels(new: Sequence[ClassEvidence], old: Sequence[ClassEvidence]) -> list[str]:
    """Classes that the champion was tried on and the candidate, which has them too, was not."""
    tried = {each.label for each in old if each.support}
    return [each.label for each in new if not each.support and each.label in tried]


def certain_drops(
    new: Sequence[ClassEvidence], old: Sequence[ClassEvidence], significance: float
) -> Iterator[tuple[str, float]]:
    """Label → how far the class has dropped at the least. A class that is gone has dropped by all there is."""
    found = {each.label: each for each in new}
    for before in old:
        after = found.get(before.label)
        yield before.label, least_drop(before, after, significance) if after else 1.0


def least_drop(before: ClassEvidence, after: ClassEvidence, significance: float) -> float:
    """Lower end of the one-sided interval of before − after (Agresti & Caffo, 2000: one success and one failure more
    in each sample)."""
    z = critical_value(significance)
    p = (before.variant * before.support + 1) / (before.support + 2)
    q = (after.variant * after.support + 1) / (after.support + 2)
    spread = math.sqrt(p * (1 - p) / (before.support + 2) + q * (1 - q) / (after.support + 2))
    return p - q - z * spread


def listed(labels: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(labels) - 5
    return ", ".join(labels[:5]) + (f" and {more} more" if more > 0 else "")
