"""What Prometheus is told of access. Labels are names of the key file, as many as it has, and nothing a caller sent."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from serving.access.counts import AccessCounts
from serving.metric_families import counter, gauge


def access_metrics(counts: AccessCounts) -> Iterator[Metric]:
    """Always there, so that an alarm may sum it: zeros and ones where access is off. Where nothing is encrypted, or
    its end can not be read, no end of a certificate."""
    refused = counter("access_refused", "Callers turned away, by reason.", ("reason",))
    for reason, count in counts.refused.items():
        refused.add_metric((reason,), count)
    yield refused
    by_key = counter("key_requests", "Requests by the name of their key, and what became of them.", ("key", "outcome"))
    for name, key in counts.keys.items():
        by_key.add_metric((name, "admitted"), key.num_admitted)
        by_key.add_metric((name, "rate"), key.num_over_rate)
        by_key.add_metric((name, "role"), key.num_without_role)
    yield by_key
    for name, is_ok, help_text in (
        ("key_file_ok", counts.key_file_ok, "0 while the key file is bad and the keys read before it stay valid."),
        ("certificate_ok", counts.certificate_ok, "0 while a renewed certificate is bad and the old one stays."),
    ):
        state = gauge(name, help_text, ())
        state.add_metric((), float(is_ok))
        yield state
    end = gauge("certificate_expiry_timestamp_seconds", "When the certificate that is shown ends, since the epoch.", ())
    if counts.certificate_ends_at is not None:
        end.add_metric((), counts.certificate_ends_at)
    yield end
