from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def scrape(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Values of one sample by its labels' values, in the order of the labels' names."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_agreement_has_a_mean_and_a_share_of_full_agreement(metrics: Metrics) -> None:
    pair = metrics.challengers.pair("digits", "1", "2")
    for agreement in (1.0, 1.0, 0.5, 0.0):
        pair.agreement.observe(agreement)
    labels = ("2", "1", "digits")
    assert scrape(metrics, "tidegate_shadow_agreement_sum")[labels] == 2.5
    assert scrape(metrics, "tidegate_shadow_agreement_count")[labels] == 4
    buckets = scrape(metrics, "tidegate_shadow_agreement_bucket")
    assert buckets["2", "1", "0.999", "digits"] == 2  # the others agree fully
    assert buckets["2", "1", "0.0", "digits"] == 1


def test_both_are_timed_by_the_same_requests(metrics: Metrics) -> None:
    pair = metrics.challengers.pair("digits", "1", "2")
    pair.champion_seconds.observe(0.25)
    pair.challenger_seconds.observe(0.5)
    sums = scrape(metrics, "tidegate_shadow_seconds_sum")
    assert sums == {("champion", "2", "1", "digits"): 0.25, ("challenger", "2", "1", "digits"): 0.5}


def test_every_outcome_is_there_before_it_happens(metrics: Metrics) -> None:
    metrics.challengers.pair("digits", "1", "2").count("dropped", 3)
    metrics.challengers.canary("digits", "2").count("answered")
    copies = scrape(metrics, "tidegate_shadow_copies_total")
    assert {labels[-1]: value for labels, value in copies.items()} == {
        "compared": 0,
        "dropped": 3,
        "failed": 0,
        "incomparable": 0,
    }
    requests = scrape(metrics, "tidegate_canary_requests_total")
    assert {labels[1]: value for labels, value in requests.items()} == {
        "answered": 1,
        "unavailable": 0,
        "failed": 0,
        "expired": 0,
    }


def test_without_challengers_there_are_no_samples(metrics: Metrics) -> None:
    text = generate_latest(metrics.registry).decode()
    assert "# TYPE tidegate_shadow_agreement histogram" in text
    assert "tidegate_shadow_agreement_count" not in text
    assert "tidegate_challenger_ready{" not in text
