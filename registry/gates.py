"""The gates between a version and an alias: pure functions of what two packages say about themselves.

A candidate is held against the champion variant by variant, like with like. Classes are few and their pictures fewer,
so a class counts as harmed only where chance does not explain the drop: the lower end of the interval of Agresti &
Caffo (2000) for a difference of two proportions, one-sided and corrected for the number of classes (Bonferroni), must
lie beyond the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import Annotated

import msgspec

from registry.manifest import ClassEvidence, Evidence, GateResult
from registry.package import ModelPackage
from tasks.errors import InvalidPackage

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class PromotionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version must keep to. Drops are in the task's own metric, against the current champion; budgets are for
    the fastest and the smallest variant, None where there is none."""

    max_metric_drop: Share = 0.005
    max_class_drop: Share = 0.02
    significance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
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
        gates.append(metric_gate(pairs, policy))
        gates += class_gates(pairs, policy)
    return tuple(gates)


def at_most(name: str, value: float, limit: float) -> GateResult:
    """Not-a-number passes no gate."""
    return GateResult(name=name, value=value, limit=limit, passed=value <= limit)


def at_least(name: str, value: float, limit: float) -> GateResult:
    return GateResult(name=name, value=value, limit=limit, passed=value >= limit)


def parity_gate(candidate: ModelPackage) -> GateResult:
    """Variants that failed a gate of their own export."""
    failed = sum(not variant.evidence.passed for variant in candidate.manifest.variants.values())
    return at_most("parity_failures", failed, 0)


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
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
        return 0
    return found.num_images


class ProfileHead(msgspec.Struct, frozen=True):
    """The field of a profile that says how much it rests on."""

    num_images: int


def budget_gates(candidate: ModelPackage, policy: PromotionPolicy) -> Iterator[GateResult]:
    evidence = [variant.evidence for variant in candidate.manifest.variants.values()]
    if policy.max_latency_ms is not None:
        fastest = min((each.latency_ms.get("1", math.inf) for each in evidence), default=math.inf)
        yield at_most("latency_ms", fastest, policy.max_latency_ms)
    if policy.max_num_bytes is not None:
        yield at_most("num_bytes", min(each.num_bytes for each in evidence), policy.max_num_bytes)


def pair_variants(candidate: ModelPackage, champion: ModelPackage) -> Iterator[tuple[Evidence, Evidence]]:
    """Candidate's and champion's evidence, by variant; one that the champion lacks is held against its first."""
    theirs = champion.manifest.variants
    first = next(iter(theirs.values()))
    for name, variant in candidate.manifest.variants.items():
        yield variant.evidence, theirs.get(name, first).evidence


def metric_gate(pairs: Iterable[tuple[Evidence, Evidence]], policy: PromotionPolicy) -> GateResult:
    """The largest drop of the task's metric over the variants."""
    drops = [metric_of(old) - metric_of(new) for new, old in pairs]
    worst = math.nan if any(math.isnan(drop) for drop in drops) else max(drops)
    return at_most("metric_drop", worst, policy.max_metric_drop)


def metric_of(evidence: Evidence) -> float:
    """Raises InvalidPackage where the evidence lacks the metric it names."""
    if evidence.metric not in evidence.metrics:
        raise InvalidPackage(
            f"the evidence names metric {evidence.metric!r} and does not hold it; export the model again"
        )
    return evidence.metrics[evidence.metric]


def class_gates(pairs: Iterable[tuple[Evidence, Evidence]], policy: PromotionPolicy) -> Iterator[GateResult]:
    """The certain part of the worst drop over all classes, then a row for each class that is beyond the tolerance."""
    drops: dict[str, float] = {}
    for new, old in pairs:
        for label, drop in certain_drops(new.per_class, old.per_class, policy.significance):
            drops[label] = max(drop, drops.get(label, -math.inf))
    if not drops:
        return
    yield at_most("class_drop", max(drops.values()), policy.max_class_drop)
    for label, drop in drops.items():
        if not drop <= policy.max_class_drop:
            yield at_most(f"class_drop of {label}", drop, policy.max_class_drop)


def certain_drops(
    new: tuple[ClassEvidence, ...], old: tuple[ClassEvidence, ...], significance: float
) -> Iterator[tuple[str, float]]:
    """Label → how far the class has dropped at the least. A class that is gone has dropped by all there is."""
    found = {each.label: each for each in new}
    for before in old:
        after = found.get(before.label)
        yield before.label, least_drop(before, after, significance / len(old)) if after else 1.0


def least_drop(before: ClassEvidence, after: ClassEvidence, significance: float) -> float:
    """Lower end of the one-sided interval of before − after (Agresti & Caffo, 2000: one success and one failure more
    in each sample)."""
    z = NormalDist().inv_cdf(1 - significance)
    p = (before.variant * before.support + 1) / (before.support + 2)
    q = (after.variant * after.support + 1) / (after.support + 2)
    spread = math.sqrt(p * (1 - p) / (before.support + 2) + q * (1 - q) / (after.support + 2))
    return p - q - z * spread
