from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from monitoring.drift import BinCounts, report_drift
from monitoring.monitor import Monitor, MonitorConfig
from monitoring.profile import Profile, decode_profile
from registry.package import ModelPackage
from serving.drift_feed import DriftCounts, Observed, Watched, observe
from serving.drift_metrics import drift_metrics
from serving.metric_series import Series
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.served import Served
from serving.served_model import signals_of
from serving.statistics import ModelStatistics
from tasks.task import open_task
from tests.handmade_segmentation import build_segmenter, encoded_patches


@dataclass(eq=False)
class Replica:
    """The part of one server that its drift metrics are made of."""

    monitor: Monitor
    drift: DriftCounts
    registry: CollectorRegistry
    name: str = "shapes"
    version: str = "1"
    variant: str = "fp32"

    def collect(self) -> Iterator[Metric]:
        yield from drift_metrics([(self.name, self.version, Series(ModelStatistics((1.0,)), cast(Served, self)))])


def samples(one: Replica, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of every sample with this name."""
    families = text_string_to_metric_families(generate_latest(one.registry).decode())
    return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]


def replica(profile: Profile, pictures: list[Mapping[str, Any]], package: ModelPackage) -> Replica:
    """One that has answered these pictures, given as the graph's outputs and input."""
    task = open_task(package.task_spec)
    made = Replica(Monitor(profile, MonitorConfig(min_window=10)), DriftCounts(), CollectorRegistry())
    made.registry.register(cast(Any, made))
    watched, params = Watched(made.monitor, made.drift), task.parse_params({})
    for picture in pictures:
        observe(Observed(watched, partial(signals_of, task, params, None, {"image": picture["image"]}, picture)))
    return made


def summed(replicas: list[Replica], profile: Profile, name: str) -> dict[str, np.ndarray[Any, Any]]:
    """What a query of Prometheus gives: by signal, the sums over replicas of a counter [bins]."""
    found: dict[str, dict[str, float]] = {}
    for one in replicas:
        for labels, value in samples(one, name):
            bins = found.setdefault(labels["signal"], {})
            bins[labels["bin"]] = bins.get(labels["bin"], 0.0) + value
    return {s: np.array([bins[label] for label in profile.signals[s].bin_names()]) for s, bins in found.items()}


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_segmenter(tmp_path_factory.mktemp("package") / "patches")


def answered(package: ModelPackage, number: int) -> list[Mapping[str, Any]]:
    """Pictures of patches and what the segmenter makes of them; every third is all light."""
    task, runtime = open_task(package.task_spec), OnnxRuntime(Path(package.graph_path("fp32")))
    images = [task.preprocess(task.sample_from_bytes(encoded_patches(seed)))["image"] for seed in range(number)]
    images[::3] = [np.full_like(image, 235) for image in images[::3]]
    outputs = runtime.run({"image": np.stack(images)})
    runtime.close()
    return [{"image": image, **{n: v[i] for n, v in outputs.items()}} for i, image in enumerate(images)]


def test_the_scraped_counters_of_two_replicas_give_the_report_of_one_that_saw_everything(
    segmenter: ModelPackage,
) -> None:
    profile, pictures = decode_profile(segmenter.profile_bytes("fp32")), answered(segmenter, 60)
    replicas = [replica(profile, part, segmenter) for part in (pictures[:23], pictures[23:])]
    weights = summed(replicas, profile, "tidegate_signal_bin_total")
    squares = summed(replicas, profile, "tidegate_signal_bin_squares_total")
    assert set(squares) == {"class_share"}
    window = {signal: BinCounts(counts, squares.get(signal, counts)) for signal, counts in weights.items()}
    config = replicas[0].monitor.config
    report = report_drift(profile, window, alpha=config.alpha, min_images=config.min_window)
    assert report == replica(profile, pictures, segmenter).monitor.report()
    assert any(s.signal == "class_share" and 0 < s.p_value < 1 for s in report.signals)


def test_every_bin_is_there_before_the_first_picture(segmenter: ModelPackage) -> None:
    profile = decode_profile(segmenter.profile_bytes("fp32"))
    idle = replica(profile, [], segmenter)
    seen = [(labels["signal"], labels["bin"]) for labels, value in samples(idle, "tidegate_signal_bin_total")]
    assert seen == [(signal, name) for signal, one in profile.signals.items() for name in one.bin_names()]
    for name in ("tidegate_signal_bin_total", "tidegate_signal_bin_squares_total"):
        assert {value for _, value in samples(idle, name)} == {0.0}
    busy = replica(profile, answered(segmenter, 3), segmenter)
    assert [labels for labels, _ in samples(busy, "tidegate_signal_bin_total")] == [
        labels for labels, _ in samples(idle, "tidegate_signal_bin_total")
    ]


def test_the_reference_stands_beside_the_counters_bin_by_bin(segmenter: ModelPackage) -> None:
    profile = decode_profile(segmenter.profile_bytes("fp32"))
    one = replica(profile, [], segmenter)
    counts = summed([one], profile, "tidegate_signal_reference_pictures")
    assert {signal: tuple(values) for signal, values in counts.items()} == {
        signal: histogram.counts for signal, histogram in profile.signals.items()
    }
    squares = summed([one], profile, "tidegate_signal_reference_squares")
    assert {signal: tuple(values) for signal, values in squares.items()} == {
        "class_share": profile.signals["class_share"].squares
    }


def test_a_signal_that_the_reference_does_not_have_is_left_out(segmenter: ModelPackage) -> None:
    profile = decode_profile(segmenter.profile_bytes("fp32"))
    empty = msgspec.structs.replace(profile.signals["width"], counts=(0.0,) * profile.signals["width"].num_bins)
    without = msgspec.structs.replace(profile, signals={**profile.signals, "width": empty})
    one = replica(without, answered(segmenter, 3), segmenter)
    shown = {labels["signal"] for labels, _ in samples(one, "tidegate_signal_bin_total")}
    assert shown == set(profile.signals) - {"width"}


def test_what_has_drifted_is_told_of_this_replica(segmenter: ModelPackage) -> None:
    profile = decode_profile(segmenter.profile_bytes("fp32"))
    one = replica(profile, answered(segmenter, 60), segmenter)
    version = {"model": "shapes", "version": "1"}
    assert samples(one, "tidegate_drift_window_pictures") == [(version, 60)]
    assert samples(one, "tidegate_drift_pictures_total")[0] == ({**version, "outcome": "observed"}, 60)
    report = one.monitor.report()
    assert samples(one, "tidegate_drift_detected") == [(version, float(report.status == "drift"))]
    distances = {labels["signal"]: value for labels, value in samples(one, "tidegate_drift_distance")}
    assert distances == {verdict.signal: verdict.distance for verdict in report.signals}
