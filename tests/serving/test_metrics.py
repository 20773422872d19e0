from __future__ import annotations

from typing import cast

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.engine_fallback import EngineFallback
from serving.metrics import MAX_RETIRED, Metrics, Series, engine_metrics
from serving.served import Served
from serving.statistics import ModelStatistics


def samples(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
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
    assert {labels: value for labels, value in counted.items() if value} == {
        (("code", "200"), ("model", "digits"), ("protocol", "http"), ("version", "3")): 2,
        (("code", "NOT_FOUND"), ("model", "digits"), ("protocol", "grpc"), ("version", "3")): 1,
        (("code", "404"), ("model", ""), ("protocol", "http"), ("version", "")): 1,
    }
    assert statistics.success.count == 2
    assert statistics.fail.count == 1


def test_faults_and_failed_loads_count_from_0_so_that_the_first_is_seen_to_come() -> None:
    metrics = Metrics(states=lambda: [("digits", "LOADING", "")])
    statistics = metrics.for_model("digits", "3", (1,))
    before = samples(metrics, "tidegate_requests_total")
    statistics.request("http", "500", 0.01)
    statistics.request("grpc", "INTERNAL", 0.01)
    after = samples(metrics, "tidegate_requests_total")
    assert set(before) == set(after)
    assert {dict(labels)["code"] for labels in after if after[labels] > before[labels]} == {"500", "INTERNAL"}
    assert samples(metrics, "tidegate_model_load_failures_total") == {(("model", "digits"),): 0}
    metrics.load_failed("digits")
    assert samples(metrics, "tidegate_model_load_failures_total") == {(("model", "digits"),): 1}


def test_a_model_with_two_references_is_shown_once_and_ready_if_either_is() -> None:
    states = [("digits", "READY", ""), ("digits", "READY", ""), ("digits", "UNAVAILABLE", "no such version")]
    text = generate_latest(Metrics(states=lambda: states).registry).decode()
    shown = [line for line in text.splitlines() if line.startswith("tidegate_model_")]
    assert shown == [
        'tidegate_model_ready{model="digits"} 1.0',
        'tidegate_model_state_info{model="digits",reason="",state="READY"} 1.0',
        'tidegate_model_state_info{model="digits",reason="no such version",state="UNAVAILABLE"} 1.0',
        'tidegate_model_load_failures_total{model="digits"} 0.0',
    ]


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
    assert max(samples(metrics, "tidegate_requests_total").values()) == 2


def test_versions_of_long_ago_are_forgotten() -> None:
    metrics = Metrics()
    for version in range(20):
        metrics.for_model("digits", str(version), (1,)).request("http", "200", 0.01)
        metrics.retire("digits", str(version))
    shown = {dict(labels)["version"] for labels in samples(metrics, "tidegate_requests_total")}
    assert shown == {str(version) for version in range(20 - MAX_RETIRED, 20)}


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
