"""The Prometheus metrics of capture."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from serving.capture.statistics import CaptureStatistics
from serving.metric_families import counter, gauge


def capture_metrics(statistics: CaptureStatistics) -> Iterator[Metric]:
    """Items that were sampled, and the folder that they go to."""
    items = counter(
        "captured", "Sampled pictures, prompts and labels: kept, dropped (queue) or failed.", ("model", "outcome")
    )
    for labels, count in list(statistics.outcomes.items()):
        items.add_metric(labels, count)
    size = gauge("capture_folder_bytes", "What the capture folder holds.", ())
    size.add_metric((), statistics.folder_bytes)
    removed = counter("capture_batches_removed", "Batches that were too old, or made room for newer ones.", ())
    removed.add_metric((), statistics.num_removed)
    yield from (items, size, removed)
