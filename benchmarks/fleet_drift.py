"""How true is the limit that Prometheus' rules hold the drift of a whole fleet to, and what does it miss?

    python -m benchmarks.fleet_drift [PACKAGE …] [--variant fp32] [--trials 1000]

The rules (deploy/prometheus/drift_rules.py) have to do with what PromQL offers: thin bins become one, the χ² quantile
is approximated, and no single bin is tested. Their arithmetic stands here once more, in numpy (a test with a real
Prometheus compares the two), and is tried on the signals of real pictures beside the test that the server runs.

Each trial shuffles a pool of distinct clean pictures and takes a reference and a window that has none of it: what is
judged is exchangeable, so that every verdict of drift is false.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift import CORRUPTED_SEED
from benchmarks.machine import describe_machine
from benchmarks.packages import fully_trained_package
from benchmarks.signal_pool import Model, SignalPool, Traffic, columns_of, open_pool
from deploy.prometheus.drift_rules import MIN_EXPECTED, MIN_INFORMATIVE
from monitoring.binning import scalar_edges
from monitoring.drift import BinCounts, holm, judge_signal
from monitoring.profile import NUM_BINS, ReferenceHistogram

Counts = NDArray[np.float64]
KINDS = ("classification", "detection", "segmentation")
SIZES = ((5000, 100), (5000, 300), (5000, 3000), (5000, 20_000), (2000, 300), (2000, 20_000))
"""Pictures of the reference, of the window."""
RATES = (0.05, 0.01, 0.001)
ALPHA = 1e-5
POOL_SIZE, CORRUPTED_SIZE = 32_000, 1_500
CORRUPTIONS = ("gaussian noise, sigma 20", "blur, sigma 1 px", "dusk, 1/4 of the light")


@dataclass(frozen=True)
class Sides:
    """One signal: reference and live counts [bins], and the sums of the squared weights of both [bins]."""

    reference: Counts
    live: Counts
    reference_squares: Counts
    live_squares: Counts


def fleet_statistic(sides: Sides) -> tuple[float, int]:
    """G as the rules have it, of effective counts and corrected, and its degrees of freedom; (0, 0) where
    there are not enough pictures to say anything."""
    reference, live = sides.reference, sides.live
    pooled, smaller = reference + live, min(reference.sum(), live.sum())
    if not smaller:
        return 0.0, 0
    effects = bin_effects(sides, float(smaller))
    effective = pooled / effects
    filled = effective * smaller / pooled.sum() >= MIN_EXPECTED
    joined = np.array([row[filled] for row in (reference, live)])
    if effective[~filled].sum() >= MIN_EXPECTED:
        joined = np.column_stack([joined, [row[~filled].sum() for row in (reference, live)]])
    num_bins = joined.shape[1]
    if num_bins < 2:
        return 0.0, 0
    joined /= effects[filled].max()
    totals, columns = joined.sum(axis=1), joined.sum(axis=0)
    total = float(totals.sum())
    some = np.maximum(joined, 1e-9)
    statistic = 2 * float((joined * np.log(some / columns)).sum() + (totals * np.log(total / totals)).sum())
    correction = (float((total / totals).sum()) - 1) * (float((total / columns).sum()) - 1)
    return statistic / (1 + correction / (6 * total * (num_bins - 1))), num_bins - 1


def bin_effects(sides: Sides, smaller: float) -> Counts:
    """How much less the weights of each bin [bins] vary than counts do: 1 where every picture falls into one bin."""
    total = sides.reference.sum() + sides.live.sum()
    share = (sides.reference + sides.live) / total
    variance = (sides.reference_squares + sides.live_squares) / total - share**2
    some = (share > 0) & (share < 1)
    effects = np.divide(variance, share * (1 - share), out=np.zeros_like(share), where=some)
    kept: Counts = np.clip(effects, min(1.0, MIN_INFORMATIVE / smaller), 1.0)
    return kept


def chi2_limit(degrees: int, alpha: float) -> float:
    """The χ² quantile by Wilson & Hilferty. The normal one is exact here; PromQL's is off by less than 0.0005."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + math.sqrt(spread) * -NormalDist().inv_cdf(alpha)) ** 3)


def fleet_verdicts(signals: Mapping[str, Sides], alphas: tuple[float, ...]) -> list[bool]:
    """Does any signal exceed its limit? One answer for each chance of a false one, over all signals."""
    statistics = [(value, degrees) for value, degrees in map(fleet_statistic, signals.values()) if degrees]
    return [
        any(value > chi2_limit(degrees, alpha / len(statistics)) for value, degrees in statistics) for alpha in alphas
    ]


def server_verdicts(signals: Mapping[str, Sides], alphas: tuple[float, ...]) -> list[bool]:
    """The same by the test that the server runs on its window."""
    p_values = []
    for name, sides in signals.items():
        names = tuple(map(str, range(sides.live.size - 1)))
        histogram = ReferenceHistogram(
            kind="weighted",
            categories=names,
            counts=tuple(sides.reference.tolist()),
            squares=tuple(sides.reference_squares.tolist()),
        )
        p_values.append(judge_signal(name, histogram, BinCounts(sides.live, sides.live_squares)).p_value)
    least = min(holm(p_values))
    return [least <= alpha for alpha in alphas]


def sides_of(pool: SignalPool, reference: Counts, live: Counts) -> dict[str, Sides]:
    """Rows [pictures, columns] of both → counts of every signal. Scalars are cut at quantiles of the reference."""
    found = {}
    for (spec, part), name in zip(columns_of(pool.specs), pool.specs, strict=True):
        columns = [rows[:, part][~np.isnan(rows[:, part.start])] for rows in (reference, live)]
        if not all(map(len, columns)):
            continue
        if spec.kind == "weighted":
            shares = [rows / rows.sum(axis=1, keepdims=True) for rows in columns]
            found[name] = Sides(*(rows.sum(axis=0) for rows in shares), *((rows**2).sum(axis=0) for rows in shares))
            continue
        edges = (
            scalar_edges(columns[0][:, 0], NUM_BINS) if spec.kind == "scalar" else np.arange(1, len(spec.categories))
        )
        bins = [np.searchsorted(edges, rows[:, 0], side="right") for rows in columns]
        counts = [np.bincount(row, minlength=len(edges) + 1).astype(np.float64) for row in bins]
        found[name] = Sides(*counts, *counts)
    return found


def false_alarms(pool: SignalPool, num_reference: int, num_live: int, num_trials: int) -> tuple[list[int], list[int]]:
    """How many of the trials each test takes for drift, by `RATES`: the rules, and the server."""
    rng, rows = np.random.default_rng(0), np.asarray(pool.values)
    fleet, server = np.zeros(len(RATES), int), np.zeros(len(RATES), int)
    for _ in range(num_trials):
        chosen = rng.choice(len(rows), num_reference + num_live, replace=False)
        signals = sides_of(pool, rows[chosen[:num_reference]], rows[chosen[num_reference:]])
        fleet += fleet_verdicts(signals, RATES)
        server += server_verdicts(signals, RATES)
    return fleet.tolist(), server.tolist()


def noticed(pool: SignalPool, corrupted: SignalPool, num_live: int, num_trials: int) -> tuple[float, float]:
    """Share of windows of corrupted pictures that each test takes for drift at `ALPHA`, reference of 5,000."""
    rng, rows, odd = np.random.default_rng(1), np.asarray(pool.values), np.asarray(corrupted.values)
    fleet = server = 0
    for _ in range(num_trials):
        reference = rows[rng.choice(len(rows), 5000, replace=False)]
        signals = sides_of(pool, reference, odd[rng.choice(len(odd), num_live, replace=False)])
        fleet += fleet_verdicts(signals, (ALPHA,))[0]
        server += server_verdicts(signals, (ALPHA,))[0]
    return fleet / num_trials, server / num_trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="*", help="default: the fully trained package of every kind")
    parser.add_argument("--variant", default="fp32")
    parser.add_argument("--trials", type=int, default=1000)
    options = parser.parse_args()
    print(describe_machine())
    for package in options.packages or map(fully_trained_package, KINDS):
        model = Model(package, options.variant)
        pool = open_pool(model, Traffic(), POOL_SIZE, 0)
        print(f"\n{package}: {len(pool)} clean pictures; false alarms of {options.trials} at {RATES}")
        for num_reference, num_live in SIZES:
            fleet, server = false_alarms(pool, num_reference, num_live, options.trials)
            print(f"  {num_reference} against {num_live}: rules {fleet}, server {server}", flush=True)
        for corruption in CORRUPTIONS:
            corrupted = open_pool(model, Traffic(corruption), CORRUPTED_SIZE, CORRUPTED_SEED)
            for num_live in (150, 300, 600):
                fleet_share, server_share = noticed(pool, corrupted, num_live, options.trials // 10)
                print(f"  {corruption}, {num_live}: rules {fleet_share:.0%}, server {server_share:.0%}", flush=True)


if __name__ == "__main__":
    main()
