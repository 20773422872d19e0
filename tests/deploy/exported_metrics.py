"""Every series that a server exports, as the code declares it: what rules and dashboards may ask for."""

from __future__ import annotations

from collections.abc import Mapping

from serving.metrics import Metrics

SCRAPE_LABELS = frozenset({"job", "instance", "namespace", "pod", "node"})
"""Added by Prometheus to everything (deploy/prometheus/*.yml)."""
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def exported_metrics() -> dict[str, frozenset[str]]:
    """Name of a series → its labels, those of the scrape left out. Of the process too."""
    metrics = Metrics()
    metrics.for_model("any", "1", (1,))
    metrics.for_generation("any", "1", 1)
    found = {}
    for family in metrics.registry.collect():
        for suffix in SUFFIXES[family.type]:
            labels = frozenset(family._labelnames) | ({"le"} if suffix == "_bucket" else set())
            found[family.name + suffix] = labels
    return found
