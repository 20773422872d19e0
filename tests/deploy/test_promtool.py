"""What promtool says of configuration and rules: that they load, and what they make of given series."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from benchmarks.fleet_drift import Sides, chi2_limit, fleet_statistic
from deploy.prometheus.__main__ import RULES
from deploy.prometheus.drift_rules import DriftWindow
from monitoring.drift import jensen_shannon_distance

pytestmark = pytest.mark.e2e
PROMETHEUS = RULES.parent
GIVEN = Path(__file__).parent / "prometheus"
REPLICAS = {"a": 0.3, "b": 0.7}
"""Replica → its share of the traffic."""
LIGHT = np.array([0.01, 0.09, *[0.1] * 8, 0.09, 0.01, 0.0])
Counts = NDArray[np.float64]


@pytest.fixture(scope="module")
def promtool(require_tool: Callable[[str], str]) -> Callable[..., str]:
    """Runs it with arguments; its output, if it was content."""
    program = require_tool("promtool")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_rules_are_valid(promtool: Callable[..., str]) -> None:
    promtool("check", "rules", *sorted(RULES.iterdir()))


def test_the_configuration_is_valid(promtool: Callable[..., str]) -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_the_configuration_for_kubernetes_is_valid(promtool: Callable[..., str], tmp_path: Path) -> None:
    """All but the discovery itself, which Debian's build has not."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus-kubernetes.yml").read_text(encoding="utf-8"))
    for job in configuration["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")
    changed = tmp_path / "prometheus.yml"
    changed.write_text(json.dumps(configuration), encoding="utf-8")
    for name in ("rules", "targets"):
        (tmp_path / name).symlink_to(PROMETHEUS / name)
    promtool("check", "config", changed)


@pytest.mark.parametrize("given", sorted(GIVEN.glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(given: Path, promtool: Callable[..., str]) -> None:
    promtool("test", "rules", given)


def counted(shares: Counts, size: int, seed: int) -> Counts:
    return np.random.default_rng(seed).multinomial(size, shares).astype(np.float64)


def mixed(shares: tuple[float, ...], size: int, seed: int) -> tuple[Counts, Counts]:
    """Three boxes to a picture: sums of weights and of their squares [bins], "other" last and empty."""
    weights = np.random.default_rng(seed).multinomial(3, shares, size=size) / 3
    return np.pad(weights.sum(axis=0), (0, 1)), np.pad((weights**2).sum(axis=0), (0, 1))


def fleet_signals() -> dict[str, Sides]:
    """A signal as in its reference, one that has moved, one whose pictures are all where the reference has none, two
    that weigh on several bins, and one with too few pictures to say anything."""
    reference, nowhere = counted(LIGHT, 5000, 0), np.zeros(13)
    clean, moved = counted(LIGHT, 3000, 1), counted(0.85 * LIGHT + 0.15 * np.roll(LIGHT, 3), 3000, 2)
    nowhere[-1] = 90
    few = counted(LIGHT, 40, 3)
    (mix, squares), (calm, calm_squares), (other, other_squares) = (
        mixed(shares, size, seed)
        for shares, size, seed in (
            ((0.5, 0.3, 0.2), 5000, 4),
            ((0.5, 0.3, 0.2), 2000, 5),
            ((0.44, 0.33, 0.23), 2000, 6),
        )
    )
    plain = {
        name: Sides(reference, live, reference, live)
        for name, live in (("clean", clean), ("moved", moved), ("nowhere", nowhere), ("few", few))
    }
    return {
        **plain,
        "calm_mix": Sides(mix, calm, squares, calm_squares),
        "moved_mix": Sides(mix, other, squares, other_squares),
    }


def series_of(signal: str, sides: Sides) -> Iterator[dict[str, str]]:
    """What replicas export over an hour in which the live counts come in evenly, split among them."""
    weighted = sides.live is not sides.live_squares
    counters = {"bin_total": sides.live, **({"bin_squares_total": sides.live_squares} if weighted else {})}
    gauges = {
        "reference_pictures": sides.reference,
        **({"reference_squares": sides.reference_squares} if weighted else {}),
    }
    for replica, share in REPLICAS.items():
        labels = f'job="tidegate", instance="{replica}", model="m", version="1", variant="fp32", signal="{signal}"'
        for name, values in counters.items():
            for index, value in enumerate(values.tolist()):
                each = f"0+{value * share / 60:.15g}x60"
                yield {"series": f'tidegate_signal_{name}{{{labels}, bin="{index}"}}', "values": each}
        for name, values in gauges.items():
            for index, value in enumerate(values.tolist()):
                yield {"series": f'tidegate_signal_{name}{{{labels}, bin="{index}"}}', "values": f"{value:.15g}x60"}


def rounded(value: float) -> float:
    """As PromQL's round(…, 0.01) does."""
    return float(np.floor(value * 100 + 0.5) / 100)


def sample(signal: str, value: float) -> dict[str, Any]:
    return {"labels": f'{{signal="{signal}"}}', "value": value}


def test_sums_over_replicas_are_judged_as_the_code_judges_them(promtool: Callable[..., str], tmp_path: Path) -> None:
    signals = fleet_signals()
    found = {name: fleet_statistic(sides) for name, sides in signals.items()}
    judged = {name: each for name, each in found.items() if each[1]}
    assert set(judged) == set(signals) - {"few"}
    alpha = DriftWindow("1h", "1m").alpha / len(judged)
    surprises = {name: value / chi2_limit(degrees, alpha) for name, (value, degrees) in judged.items()}
    distances = {name: jensen_shannon_distance(signals[name].reference, signals[name].live) for name in judged}
    del distances["nowhere"]  # its thin bins are together
    asked: Mapping[str, list[dict[str, Any]]] = {
        "sum by (signal) (round(tidegate:signal_pictures, 0.01))": [
            sample(name, rounded(float(sides.live.sum()))) for name, sides in signals.items()
        ],
        'sum by (signal) (round(tidegate:signal_distance{signal!="nowhere"}, 0.01))': [
            sample(name, rounded(distance)) for name, distance in distances.items()
        ],
        "sum by (signal) (round(tidegate:signal_surprise, 0.01))": [
            sample(name, rounded(surprise)) for name, surprise in surprises.items()
        ],
        "count by (signal) (tidegate:signal_surprise > 1)": [
            sample(name, 1) for name in ("moved", "nowhere", "moved_mix")
        ],
        "count by (signal) (tidegate:signal_psi > tidegate:signal_psi_limit)": [
            sample(name, 1) for name in ("moved", "nowhere", "moved_mix")
        ],
        "count by (signal) (tidegate:signal_distance > tidegate:signal_distance_limit)": [
            sample(name, 1) for name in ("moved", "nowhere", "moved_mix")
        ],
    }
    given = {
        "rule_files": [str(RULES / "drift-1h.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [one for name, sides in signals.items() for one in series_of(name, sides)],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": "60m", "exp_samples": samples}
                    for expression, samples in asked.items()
                ],
            }
        ],
    }
    (tmp_path / "given.yml").write_text(json.dumps(given), encoding="utf-8")
    promtool("test", "rules", tmp_path / "given.yml")
