"""What Prometheus is told of access."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from serving.access.counts import AccessCounts
from serving.metric_families import counter


def access_metrics(counts: AccessCounts) -> Iterator[Metric]:
    """Names of keys are labels, as many as the key file has; what a caller sent is none."""
    refused = counter("access_refused", "Callers turned away, by reason.", ("reason",))
    for reason, count in counts.refused.items():
        refused.add_metric((reason,), count)
    yield refused
