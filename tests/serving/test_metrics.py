from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

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
from serving.engine_fallback import EngineFallback
from serving.metrics import MAX_RETIRED, Metrics, Series, drift_metrics, engine_metrics
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.served import Served
from serving.served_model import signals_of
from serving.statistics import ModelStatistics
from tasks.task import open_task
from tests.handmade_segmentation import build_segmenter, encoded_patches


def samples(metrics: Metrics | Replica, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Sorted label pairs → value of every sample with this name."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_model_version_protocol_and_code() -> None:
    metrics = Metrics()
    statistics = metrics.for_model("digits", "3", (1, 2))
    statistics.request("http", "200", 0.01)
    statistics.request("http", "200", 0.02)
    statistics.request("grpc", "NOT_FOUND", 0.001)
    metrics.request_without_model("http", "404")
    counted = samples(metrics, "tidegate_requests_total")
    assert counted == {
        (("code", "200"), ("model", "digits"), ("protocol", "http"), ("version", "3")): 2,
        (("code", "NOT_FOUND"), ("model", "digits"), ("protocol", "grpc"), ("version", "3")): 1,
        (("code", "404"), ("model", ""), ("protocol", "http"), ("version", "")): 1,
    }
    assert statistics.success.count == 2
    assert statistics.fail.count == 1


def test_histograms_are_cumulative_and_complete() -> None:
    metrics = Metrics()
    statistics = metrics.for_model("digits", "3", (1, 2))
    for seconds in (0.00004, 0.003, 0.003, 1000.0):
        statistics.queue.observe(seconds)
    buckets = {
        dict(labels)["le"]: value
        for labels, value in samples(metrics, "tidegate_stage_seconds_bucket").items()
        if dict(labels)["stage"] == "queue"
    }
    assert buckets["5e-05"] == 1
    assert buckets["0.0025"] == 1
    assert buckets["0.005"] == 3
    assert buckets["30.0"] == 3
    assert buckets["+Inf"] == 4
    stages = {dict(labels)["stage"] for labels in samples(metrics, "tidegate_stage_seconds_count")}
    assert stages == {"decode", "queue", "compute", "encode", "total"}


def test_padding_and_batch_sizes() -> None:
    metrics = Metrics()
    statistics = metrics.for_model("digits", "3", (1, 2, 4))
    statistics.execution(3, 4, 0.1)
    statistics.execution(4, 4, 0.1)
    assert list(samples(metrics, "tidegate_batch_padding_total").values()) == [1]
    assert list(samples(metrics, "tidegate_batch_rows_total").values()) == [7]
    assert list(samples(metrics, "tidegate_batch_size_count").values()) == [2]


def test_counters_go_on_when_a_version_comes_back() -> None:
    metrics = Metrics()
    metrics.for_model("digits", "3", (1,)).request("http", "200", 0.01)
    metrics.retire("digits", "3")
    metrics.for_model("digits", "3", (1,)).request("http", "200", 0.01)
    assert list(samples(metrics, "tidegate_requests_total").values()) == [2]


def test_versions_of_long_ago_are_forgotten() -> None:
    metrics = Metrics()
    for version in range(20):
        metrics.for_model("digits", str(version), (1,)).request("http", "200", 0.01)
        metrics.retire("digits", str(version))
    shown = {dict(labels)["version"] for labels in samples(metrics, "tidegate_requests_total")}
    assert shown == {str(version) for version in range(20 - MAX_RETIRED, 20)}


@dataclass(eq=False)
class Replica:
    """The part of one server that its drift metrics are made of."""

    monitor: Monitor
    drift: DriftCounts
    registry: CollectorRegistry

    def collect(self) -> Iterator[Metric]:
        yield from drift_metrics([("shapes", "1", Series(ModelStatistics((1.0,)), cast(Served, self)))])


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
        for pairs, value in samples(one, name).items():
            labels = dict(pairs)
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


def test_a_graph_without_its_engine_is_counted_and_named_as_long_as_it_is_served() -> None:
    statistics = ModelStatistics((1.0,))
    served = Series(statistics, cast(Served, object()))

    def shown() -> list[tuple[dict[str, str], float]]:
        families = engine_metrics([("digits", "3", served)])
        return [(sample.labels, sample.value) for family in families for sample in family.samples]

    version = {"model": "digits", "version": "3"}
    assert shown() == [(version, 0)]
    statistics.engine_fallbacks = (EngineFallback("fp16", "main", "no engine was built"),)
    labels = {**version, "variant": "fp16", "role": "main", "reason": "no engine was built"}
    assert shown() == [(version, 1), (labels, 1)]
    served.served = None
    assert shown() == []
