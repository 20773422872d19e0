"""The Prometheus metrics of challengers, the part of serving/metrics.py that is theirs alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from serving.challenger.statistics import CANARY_OUTCOMES, SHADOW_OUTCOMES, ChallengerStatistics
from serving.metric_families import MODEL_LABELS, add_histogram, counter, gauge, histogram

PAIR_LABELS = ("model", "champion", "challenger")


def challenger_metrics(statistics: ChallengerStatistics) -> Iterator[Metric]:
    """Nothing but names where no challenger was ever followed; else every outcome from the start: a counter that begins
    at 1 has not grown, as rules see it."""
    yield from shadow_metrics(statistics)
    requests = counter(
        "canary_requests", "Requests meant for the challenger, by who answered.", (*MODEL_LABELS, "outcome")
    )
    for labels, canary in list(statistics.canaries.items()):
        for outcome in CANARY_OUTCOMES:
            requests.add_metric((*labels, outcome), canary.outcomes.get(outcome, 0))
    yield requests
    ready = gauge("challenger_ready", "1 for a challenger that answers, 0 for one that does not.")
    for model, version, is_ready in statistics.states():
        ready.add_metric((model, version), float(is_ready))
    yield ready
    failures = counter("challenger_load_failures", "Challengers that could not be loaded.", ("model",))
    for model, count in list(statistics.load_failures.items()):
        failures.add_metric((model,), count)
    yield failures


def shadow_metrics(statistics: ChallengerStatistics) -> Iterator[Metric]:
    """Sum ÷ count of the agreement is its mean; both add up over replicas."""
    agreement = histogram("shadow_agreement", "How far challenger and champion agree, 0 to 1.", PAIR_LABELS)
    seconds = histogram(
        "shadow_seconds", "Time that each of both took for the same requests.", (*PAIR_LABELS, "answered_by")
    )
    copies = counter("shadow_copies", "Pictures or prompts copied, by what became of them.", (*PAIR_LABELS, "outcome"))
    for labels, pair in list(statistics.pairs.items()):
        add_histogram(agreement, labels, pair.agreement)
        add_histogram(seconds, (*labels, "champion"), pair.champion_seconds)
        add_histogram(seconds, (*labels, "challenger"), pair.challenger_seconds)
        for outcome in SHADOW_OUTCOMES:
            copies.add_metric((*labels, outcome), pair.outcomes.get(outcome, 0))
    yield from (agreement, seconds, copies)
