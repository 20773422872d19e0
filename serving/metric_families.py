"""Metric families: names with the project's prefix, labels of a model version, our histograms counted cumulatively."""

from __future__ import annotations

from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Exemplar

from serving.statistics import Histogram

MODEL_LABELS = ("model", "version")


def counter(name: str, help_text: str, labels: tuple[str, ...] = MODEL_LABELS) -> CounterMetricFamily:
    return CounterMetricFamily(f"tidegate_{name}", help_text, labels=labels)


def gauge(name: str, help_text: str, labels: tuple[str, ...] = MODEL_LABELS) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tidegate_{name}", help_text, labels=labels)


def histogram(name: str, help_text: str, labels: tuple[str, ...] = MODEL_LABELS) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"tidegate_{name}", help_text, labels=labels)


def add_histogram(metric: HistogramMetricFamily, labels: tuple[str, ...], observed: Histogram) -> None:
    """Prometheus counts cumulatively: everything up to each bound."""
    counts, exemplars, total = list(observed.counts), dict(observed.exemplars), 0
    buckets: list[Any] = []
    for place, (bound, count) in enumerate(zip((*observed.bounds, float("inf")), counts, strict=True)):
        total += count
        label, found = "+Inf" if bound == float("inf") else str(bound), exemplars.get(place)
        told = (Exemplar({"trace_id": found.trace_id}, found.value, found.at),) if found else ()
        buckets.append((label, float(total), *told))
    metric.add_metric(labels, buckets, observed.total)
