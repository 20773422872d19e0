"""Does the drift alarm keep its promise? How rarely it cries wolf on clean pictures, how fast it sees corrupted ones.

    python -m benchmarks.drift [PACKAGE …] [--variant fp32] [--references 20] [--windows N] [--full]

Every picture goes through the real decoder and the model of PACKAGE (of any kind, trained on `scenes`), every window
through `monitoring.Monitor`. How many pictures that takes depends on the kind, see `PLANS`: a classifier's references
are of 5,000 pictures with 500 windows of 300 each, those of detectors and segmenters of 2,000 with 100 windows, so that
either is done in ten minutes on two cores. References × windows × 300 pictures are hours of work even so, and by
default one pool of distinct pictures is computed and shuffled anew for each reference: within a reference all windows
are disjoint from it and from each other, across references pictures come again. Each single verdict has exactly the
false-alarm probability of fresh pictures; only the pooled count scatters more than a binomial would. `--full` computes
fresh pictures for each reference instead.

A class that is missing is left out when scenes are composed: others take its place, so that nothing but the class
itself gives it away. Every class is left out in turn.

Exits with 1 if a bar is missed: false alarms at or below the 99 % binomial bound of the configured rate, and the bars
of the kind detected within 300 pictures in at least 95 % of trials. Weaker and stronger corruptions are printed beside
the bars, each with how good the model's answers still are: what is not seen should not hurt either.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corruptions import CORRUPTIONS
from benchmarks.machine import describe_machine
from benchmarks.packages import fully_trained_package
from benchmarks.signal_pool import Model, SignalPool, Traffic, open_pool
from monitoring.monitor import Monitor, MonitorConfig
from monitoring.profile import Profile, build_profile
from registry.package import open_package
from training.data.digits import DIGIT_LABELS

WINDOW_SIZE = 300
CHECK_EVERY = 30
RATES = (0.05, 0.01, 0.001)
MIN_DETECTED = 0.95
CORRUPTED_SEED, MISSING_SEED, FULL_SEED = 1_000_000, 1_500_000, 2_000_000
SEEDS_PER_DIGIT = 1_000
MISSING = "a missing class"

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How much is drawn for a kind of model, and what must be seen. Sizes in pictures, for each corruption and each
    missing class; `shown` are corruptions that are printed beside the `bars`."""

    reference_size: int
    num_windows: int
    corrupted_size: int
    missing_size: int
    bars: tuple[str, ...]
    shown: tuple[str, ...]


CLASSIFICATION = Plan(
    reference_size=5_000,
    num_windows=500,
    corrupted_size=6_000,
    missing_size=1_500,
    bars=("gaussian noise, sigma 40", "blur, sigma 2 px", "inverted contrast", "darkness, x 0.5", MISSING),
    shown=tuple(CORRUPTIONS),
)
OF_MANY_OBJECTS = Plan(
    reference_size=2_000,
    num_windows=100,
    corrupted_size=1_500,
    missing_size=1_200,
    bars=("night, 1/16 of the light", "blur, sigma 2 px", MISSING),
    shown=("dusk, 1/4 of the light", "night, 1/64 of the light", "blur, sigma 1 px", "gaussian noise, sigma 20"),
)
PLANS: Mapping[str, Plan] = {
    "classification": CLASSIFICATION,
    "detection": OF_MANY_OBJECTS,
    "segmentation": OF_MANY_OBJECTS,
}
"""By kind of task."""


@dataclass(frozen=True)
class Replicate:
    """One reference and the shuffled rest of the clean pool, for windows."""

    profile: Profile
    pool: SignalPool
    rest: Indices

    def windows(self) -> Iterator[Indices]:
        for start in range(0, len(self.rest) - WINDOW_SIZE + 1, WINDOW_SIZE):
            yield self.rest[start : start + WINDOW_SIZE]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="*", help="default: the fully trained package of every kind")
    parser.add_argument("--variant", default="fp32")
    parser.add_argument("--references", type=int, default=20)
    parser.add_argument("--windows", type=int, help="clean windows for each reference (default: by kind)")
    parser.add_argument("--full", action="store_true", help="fresh pictures for every reference (hours)")
    options = parser.parse_args()
    print(describe_machine())
    packages = options.packages or map(fully_trained_package, PLANS)
    kept = [keeps_promise(package, options) for package in packages]
    return 0 if all(kept) else 1


def keeps_promise(package: Path, options: argparse.Namespace) -> bool:
    """Print all figures of one package; True if no bar is missed."""
    kind = open_package(package).manifest.task["kind"]
    plan, model = PLANS[kind], Model(package, options.variant)
    print(f"\n{kind}: {package}, {options.variant}")
    replicates = list(draw_replicates(model, plan, options))
    passed = report_false_alarms(replicates)
    print(f"  detected within {WINDOW_SIZE} pictures; answers to clean ones are worth {replicates[0].pool.quality:.3f}")
    for name in (corruption for corruption in CORRUPTIONS if corruption in plan.bars + plan.shown):
        pool = open_pool(model, Traffic(name), plan.corrupted_size, CORRUPTED_SEED)
        found = [d for replicate in replicates for d in detections(replicate, pool)]
        passed &= report_detection(plan, name, found, pool.quality)
    return report_missing_classes(model, plan, replicates) and passed


def draw_replicates(model: Model, plan: Plan, options: argparse.Namespace) -> Iterator[Replicate]:
    """References with disjoint clean pictures for their windows."""
    size = plan.reference_size + (options.windows or plan.num_windows) * WINDOW_SIZE
    for number in range(options.references):
        first_seed = FULL_SEED + number * size if options.full else 0
        pool = open_pool(model, Traffic(), size, first_seed)
        order = np.random.default_rng(number).permutation(len(pool))[:size]
        chosen, rest = order[: plan.reference_size], order[plan.reference_size :]
        yield Replicate(build_profile(pool.specs, pool.observations(chosen)), pool, rest)


def report_false_alarms(replicates: list[Replicate]) -> bool:
    """Print false alarms at several rates and at the default configuration; True if none is above its bound."""
    p_values = np.array([p for replicate in replicates for p in window_p_values(replicate)])
    print(f"  false alarms: {len(replicates)} references × {len(p_values) // len(replicates)} clean windows")
    passed = True
    for rate in (*RATES, MonitorConfig().alpha):
        alarms, bound = int((p_values <= rate).sum()), binomial_bound(len(p_values), rate)
        passed &= alarms <= bound
        verdict = "ok" if alarms <= bound else "MISSED"
        print(
            f"  rate {rate:.2g}: {alarms} alarms, expected at most {rate * len(p_values):.3g}, bound {bound}  {verdict}"
        )
    return passed


def window_p_values(replicate: Replicate) -> Iterator[float]:
    """The smallest corrected p-value of each clean window: at or below a rate it is an alarm at that rate."""
    monitor = Monitor(replicate.profile, MonitorConfig(window_size=WINDOW_SIZE))
    for window in replicate.windows():
        monitor.reset()
        for picture in replicate.pool.observations(window):
            monitor.observe(picture)
        yield monitor.report().signals[0].adjusted_p_value


def detections(replicate: Replicate, corrupted: SignalPool) -> Iterator[float]:
    """Pictures until the alarm of every trial, infinite where it takes more than WINDOW_SIZE.

    A trial starts with a window full of clean pictures and is checked every CHECK_EVERY corrupted ones.
    """
    clock = iter(range(10**9))
    interval_s = MonitorConfig().check_interval_s
    monitor = Monitor(replicate.profile, MonitorConfig(window_size=WINDOW_SIZE), lambda: next(clock) * interval_s)
    clean_windows = cycle(replicate.windows())
    for start in range(0, len(corrupted) - WINDOW_SIZE + 1, WINDOW_SIZE):
        monitor.reset()
        for picture in replicate.pool.observations(next(clean_windows)):
            monitor.observe(picture)
        found = math.inf
        for number, picture in enumerate(corrupted.observations(np.arange(start, start + WINDOW_SIZE)), 1):
            monitor.observe(picture)
            if number % CHECK_EVERY == 0 and monitor.report().status == "drift":
                found = number
                break
        yield found


def report_missing_classes(model: Model, plan: Plan, replicates: list[Replicate]) -> bool:
    """Every digit left out in turn, printed by digit and then together; True if that is seen as the plan demands."""
    trials, qualities = [], []
    for digit, label in enumerate(DIGIT_LABELS):
        traffic, seed = Traffic(without=(digit,)), MISSING_SEED + digit * SEEDS_PER_DIGIT
        pool = open_pool(model, traffic, plan.missing_size, seed)
        found = [d for replicate in replicates for d in detections(replicate, pool)]
        report_detection(plan, f"{MISSING}: {label}", found, pool.quality)
        trials += found
        qualities.append(pool.quality)
    return report_detection(plan, MISSING, trials, statistics.mean(qualities))


def report_detection(plan: Plan, name: str, pictures: list[float], quality: float) -> bool:
    """Print one line, with what the model's answers to such pictures are worth; False if it is a bar and too few
    trials saw the drift."""
    share = sum(p <= WINDOW_SIZE for p in pictures) / len(pictures)
    found = f"detected in {share:6.1%} of {len(pictures)} trials, median {statistics.median(pictures):.0f} pictures"
    passed = share >= MIN_DETECTED or name not in plan.bars
    verdict = ("ok" if passed else "MISSED") if name in plan.bars else ""
    print(f"  {name:26} {found}; answers worth {quality:.3f}  {verdict}", flush=True)
    return passed


def binomial_bound(trials: int, rate: float, confidence: float = 0.99) -> int:
    """The smallest number of alarms that a binomial stays at or below with this confidence."""
    log_term, alarms = trials * math.log1p(-rate), 0
    total = math.exp(log_term)
    while total < confidence:
        alarms += 1
        log_term += math.log((trials - alarms + 1) / alarms * rate / (1 - rate))
        total += math.exp(log_term)
    return alarms


if __name__ == "__main__":
    sys.exit(main())
