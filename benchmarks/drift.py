"""Does the drift alarm keep its promise? How rarely it cries wolf on clean pictures, how fast it sees corrupted ones.

    python -m benchmarks.drift [PACKAGE] [--variant fp32] [--references 20] [--windows 500] [--full]

Every picture goes through the real decoder and the classifier of PACKAGE (one of `scenes`), every window through
`monitoring.Monitor`. 20 references × 500 windows × 300 pictures are three million pictures, hours of work, so by
default one pool of 155,000 distinct pictures is computed and shuffled anew for each reference: within a reference all
windows are disjoint from it and from each other, across references pictures come again. Each single verdict has
exactly the false-alarm probability of fresh pictures; only the pooled count scatters more than a binomial would.
`--full` computes fresh pictures for each reference instead.

Exits with 1 if a bar is missed: false alarms at or below the 99 % binomial bound of the configured rate, and the
corruptions of `BARS` and a missing class detected within 300 pictures in at least 95 % of trials. Weaker and stronger
corruptions are printed beside the bars, each with the accuracy that is left: what is not seen should not hurt either.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corruptions import CORRUPTIONS
from benchmarks.machine import describe_machine
from benchmarks.packages import digits_package
from benchmarks.signal_pool import SignalPool, open_pool
from monitoring.monitor import Monitor, MonitorConfig
from monitoring.profile import Profile, build_profile

REFERENCE_SIZE = 5_000
WINDOW_SIZE = 300
CHECK_EVERY = 30
CORRUPTED_SIZE = 6_000
RATES = (0.05, 0.01, 0.001)
BARS = ("gaussian noise, sigma 40", "blur, sigma 2 px", "inverted contrast", "darkness, x 0.5")
MISSING_CLASSES = 10
MIN_DETECTED = 0.95
CORRUPTED_SEED, FULL_SEED = 1_000_000, 2_000_000

Indices = NDArray[np.int64]


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
    parser.add_argument("package", type=Path, nargs="?", help="default: digits by its full recipe")
    parser.add_argument("--variant", default="fp32")
    parser.add_argument("--references", type=int, default=20)
    parser.add_argument("--windows", type=int, default=500)
    parser.add_argument("--full", action="store_true", help="fresh pictures for every reference (hours)")
    options = parser.parse_args()
    options.package = options.package or digits_package()
    print(describe_machine())
    replicates = list(draw_replicates(options))
    passed = report_false_alarms(replicates)
    for name in CORRUPTIONS:
        pool = open_pool(options.package, options.variant, name, CORRUPTED_SIZE, CORRUPTED_SEED)
        shares = [detections(r, pool, np.arange(len(pool))) for r in replicates]
        passed &= report_detection(name, [d for share in shares for d in share], pool.accuracy) or name not in BARS
    missing = [d for i, r in enumerate(replicates) for d in missing_class_detections(r, i % MISSING_CLASSES)]
    passed &= report_detection("a missing class", missing, replicates[0].pool.accuracy)
    return 0 if passed else 1


def draw_replicates(options: argparse.Namespace) -> Iterator[Replicate]:
    """References of REFERENCE_SIZE pictures with disjoint clean pictures for `--windows` windows each."""
    size = REFERENCE_SIZE + options.windows * WINDOW_SIZE
    for number in range(options.references):
        first_seed = FULL_SEED + number * size if options.full else 0
        pool = open_pool(options.package, options.variant, "clean", size, first_seed)
        order = np.random.default_rng(number).permutation(len(pool))[:size]
        chosen, rest = order[:REFERENCE_SIZE], order[REFERENCE_SIZE:]
        yield Replicate(build_profile(pool.specs, pool.observations(chosen)), pool, rest)


def report_false_alarms(replicates: list[Replicate]) -> bool:
    """Print false alarms at several rates and at the default configuration; True if none is above its bound."""
    p_values = np.array([p for replicate in replicates for p in window_p_values(replicate)])
    print(f"\nfalse alarms: {len(replicates)} references × {len(p_values) // len(replicates)} clean windows")
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


def detections(replicate: Replicate, corrupted: SignalPool, indices: Indices) -> Iterator[float]:
    """Pictures until the alarm of every trial, infinite where it takes more than WINDOW_SIZE.

    A trial starts with a window full of clean pictures and is checked every CHECK_EVERY corrupted ones.
    """
    clock = iter(range(10**9))
    interval_s = MonitorConfig().check_interval_s
    monitor = Monitor(replicate.profile, MonitorConfig(window_size=WINDOW_SIZE), lambda: next(clock) * interval_s)
    clean_windows = replicate.windows()
    for start in range(0, len(indices) - WINDOW_SIZE + 1, WINDOW_SIZE):
        monitor.reset()
        for picture in replicate.pool.observations(next(clean_windows)):
            monitor.observe(picture)
        found = math.inf
        for number, picture in enumerate(corrupted.observations(indices[start : start + WINDOW_SIZE]), 1):
            monitor.observe(picture)
            if number % CHECK_EVERY == 0 and monitor.report().status == "drift":
                found = number
                break
        yield found


def missing_class_detections(replicate: Replicate, missing: int) -> Iterator[float]:
    """Trials on the clean pool's last pictures without those of one class (clean windows start at the front)."""
    tail = replicate.rest[-CORRUPTED_SIZE:]
    yield from detections(replicate, replicate.pool, tail[replicate.pool.targets[tail] != missing])


def report_detection(name: str, pictures: list[float], accuracy: float) -> bool:
    """Print one line, with the classifier's accuracy on such pictures; True if enough trials saw the drift."""
    share = sum(p <= WINDOW_SIZE for p in pictures) / len(pictures)
    bar = "bar" if name in BARS or name == "a missing class" else "   "
    delay = f"after {statistics.median(pictures):.0f} pictures (median)"
    found = f"detected in {share:6.1%} of {len(pictures)} trials, {delay}"
    print(f"  {bar} {name:26} {found}; accuracy {accuracy:.1%}", flush=True)
    return share >= MIN_DETECTED


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
