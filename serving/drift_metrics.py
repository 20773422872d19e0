"""The Prometheus metrics of drift: what came in by bin, the reference beside it, and the verdict of this replica.

Counters add up over replicas. Rules that judge a whole fleet (deploy/prometheus/) need nothing but their sums and the
reference, and every bin from its first scrape on: Prometheus sees how much a counter grew, not where it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from monitoring.drift import BinCounts
from monitoring.profile import ReferenceHistogram
from serving.metric_families import MODEL_LABELS, counter, gauge
from serving.metric_series import NamedSeries
from serving.served import Served

OUTCOMES = ("observed", "dropped", "failed")
BIN_LABELS = (*MODEL_LABELS, "variant", "signal", "bin")
"""The variant, because each has bins of its own: replicas on different hardware may serve different ones."""


def drift_metrics(all_series: Sequence[NamedSeries]) -> Iterator[Metric]:
    """Of the versions that are served."""
    served = [model for _, _, one in all_series if (model := one.served) is not None]
    yield from count_metrics(served)
    yield from reference_metrics(served)
    yield picture_metric(served)
    yield from verdict_metrics(served)


def count_metrics(served: Sequence[Served]) -> Iterator[Metric]:
    """What came in, 0 in bins where nothing has."""
    bins = counter("signal_bin", "Pictures or prompts by bin of the reference profile.", BIN_LABELS)
    squares = counter("signal_bin_squares", "Squared weights of those that fall into several bins.", BIN_LABELS)
    for model, signal, reference in references(served):
        nothing = np.zeros(reference.num_bins)
        counts = model.drift.bins.get(signal, BinCounts(nothing, nothing))
        add_bins(bins, model, signal, reference, counts.weights.tolist())
        if reference.squares:
            add_bins(squares, model, signal, reference, counts.squares.tolist())
    yield from (bins, squares)


def reference_metrics(served: Sequence[Served]) -> Iterator[Metric]:
    """The same of the pictures that the profile was made of: equal on every replica that serves this variant."""
    pictures = gauge("signal_reference_pictures", "Pictures or prompts of the reference by bin.", BIN_LABELS)
    squares = gauge(
        "signal_reference_squares",
        "Squared weights of those that fall into several bins, in the reference.",
        BIN_LABELS,
    )
    for model, signal, reference in references(served):
        add_bins(pictures, model, signal, reference, reference.counts)
        if reference.squares:
            add_bins(squares, model, signal, reference, reference.squares)
    yield from (pictures, squares)


def references(served: Sequence[Served]) -> Iterator[tuple[Served, str, ReferenceHistogram]]:
    """Every signal that can be compared: one that no picture of the reference has says nothing."""
    for model in served:
        for signal, reference in model.monitor.profile.signals.items():
            if sum(reference.counts) > 0:
                yield model, signal, reference


def add_bins(
    metric: CounterMetricFamily | GaugeMetricFamily,
    model: Served,
    signal: str,
    reference: ReferenceHistogram,
    values: Sequence[float],
) -> None:
    """One sample for each bin."""
    for name, value in zip(reference.bin_names(), values, strict=True):
        metric.add_metric((model.name, model.version, model.variant, signal, name), value)


def picture_metric(served: Sequence[Served]) -> Metric:
    """What monitoring did with what was answered."""
    pictures = counter(
        "drift_pictures", "Pictures or prompts by what monitoring did with them.", (*MODEL_LABELS, "outcome")
    )
    for model in served:
        for outcome in OUTCOMES:
            pictures.add_metric((model.name, model.version, outcome), getattr(model.drift, outcome))
    return pictures


def verdict_metrics(served: Sequence[Served]) -> Iterator[Metric]:
    """The verdict on the sliding window of this replica. Verdicts do not add up."""
    by_signal = (*MODEL_LABELS, "signal")
    distance = gauge("drift_distance", "Jensen–Shannon distance of the window to the reference.", by_signal)
    p_value = gauge("drift_p_value", "Chance of such a window without drift, corrected across signals.", by_signal)
    drifted = gauge("drift_detected", "1 while the window's verdict is drift.")
    window = gauge("drift_window_pictures", "Pictures or prompts in the sliding window.")
    for model in served:
        report = model.monitor.report()
        drifted.add_metric((model.name, model.version), float(report.status == "drift"))
        window.add_metric((model.name, model.version), report.num_images)
        for verdict in report.signals:
            distance.add_metric((model.name, model.version, verdict.signal), verdict.distance)
            p_value.add_metric((model.name, model.version, verdict.signal), verdict.adjusted_p_value)
    yield from (distance, p_value, drifted, window)
