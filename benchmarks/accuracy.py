"""Every accuracy bar: trains the recipes that claim one and prints pass or miss; exit code 1 on a miss.

    python -m benchmarks.accuracy [RECIPE …]

Seconds are those of the epochs with their validation. Generating and decoding pictures happens before and is cached.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import CpuTimes, describe_machine


@dataclass(frozen=True)
class Bar:
    """What a recipe must reach on its validation pictures or texts, on two cores: metric → least value. `after`: the
    recipe whose weights it starts from, which is trained first and has a bar of its own. `told`: metrics to be told
    beside those that must be reached."""

    recipe: str
    minimum: Mapping[str, float]
    max_seconds: float
    min_examples: int
    after: str = ""
    told: tuple[str, ...] = ()


TRUNK, DETECTOR = "digits-quick", "scenes-detection"
BARS = (
    Bar("digits-smoke", {"val_accuracy": 0.98}, max_seconds=60, min_examples=300),
    Bar("digits", {"val_accuracy": 0.95}, max_seconds=240, min_examples=10_000),
    # After the full digits, for both register the same name: what comes next starts from the newest version.
    Bar("digits-quick", {"val_accuracy": 0.90}, max_seconds=35, min_examples=2_000),
    Bar(DETECTOR, {"val_ap": 0.60, "val_ap50": 0.85}, max_seconds=600, min_examples=1_000, after=TRUNK),
    Bar("scenes-segmentation", {"val_miou": 0.70}, max_seconds=900, min_examples=1_000, after=TRUNK),
    Bar(
        "scenes-captioning",
        {"val_exact_match": 0.60},
        max_seconds=900,
        min_examples=1_000,
        after=DETECTOR,
        told=("val_cider", "val_bleu_4", "val_rouge_l"),
    ),
    # How far below the bits per byte of a Kneser–Ney 5-gram, as a share of them: what an hour was given for.
    Bar("stdlib-llama", {"val_below_kneser_ney": 0.08}, max_seconds=600, min_examples=10),
    Bar("stdlib-lstm", {"val_below_kneser_ney": 0.08}, max_seconds=600, min_examples=10),
)


@dataclass(frozen=True)
class Outcome:
    """What a training reached, and how much of the machine was taken from it meanwhile."""

    bar: Bar
    metrics: dict[str, float]
    num_examples: int
    cpu_seconds: float
    stolen_share: float
    load_before: float

    @property
    def passed(self) -> bool:
        return (
            all(self.metrics[name] >= least for name, least in self.bar.minimum.items())
            and self.metrics["fit_seconds"] <= self.bar.max_seconds
            and self.num_examples >= self.bar.min_examples
        )

    def row(self) -> str:
        """One line of the table."""
        least = {name: f" ≥ {value}" for name, value in self.bar.minimum.items()} | dict.fromkeys(self.bar.told, "")
        reached = "   ".join(
            f"{name} {self.metrics[name]:.4f}{bound} (test {self.metrics[name.replace('val_', 'test_')]:.4f})"
            for name, bound in least.items()
        )
        verdict = "pass" if self.passed else "MISS"
        return (
            f"{self.bar.recipe:20} {reached}   of {self.num_examples:,d} examples   "
            f"{self.metrics['fit_seconds']:4.0f} s ≤ {self.bar.max_seconds:.0f}   {verdict}   "
            f"(CPU {self.cpu_seconds:.0f} s, stolen {self.stolen_share:.0%}, load before {self.load_before:.1f})"
        )


def measure(bar: Bar, workdir: Path) -> Outcome:
    """Trains one recipe in a store of its own."""
    from training.checkpoint import read_facts
    from training.recipe import load_recipe
    from training.run import train

    times, load, cpu_started = CpuTimes.now(), os.getloadavg()[0], time.process_time()
    trained = train(load_recipe(bar.recipe), workdir=workdir, tracking_uri=f"sqlite:///{workdir}/mlflow.db")
    facts = read_facts(trained.folder)
    stolen = CpuTimes.now().stolen_share_since(times)
    cpu_seconds = time.process_time() - cpu_started
    return Outcome(bar, trained.metrics, facts.split_sizes["validation"], cpu_seconds, stolen, load)


def main(arguments: Sequence[str]) -> int:
    """Trains what was named, or everything; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.accuracy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", nargs="*", help="of " + ", ".join(bar.recipe for bar in BARS))
    named = parser.parse_args(arguments).recipe
    asked = {bar.recipe for bar in BARS if not named or bar.recipe in named}
    needed = set(asked)
    for bar in reversed(BARS):  # what others start from stands before them
        needed |= {bar.after} if bar.recipe in needed else set()
    bars = [bar for bar in BARS if bar.recipe in needed]
    if len(asked) < len(set(named)):
        parser.error(f"only these recipes claim an accuracy: {', '.join(bar.recipe for bar in BARS)}")
    print(describe_machine())
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="tidegate-accuracy-") as folder:
        for bar in bars:
            outcomes.append(measure(bar, Path(folder)))
            print(outcomes[-1].row(), flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
