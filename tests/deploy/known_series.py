"""Every series that rules and dashboards may ask for: what servers export, what rules record, what Prometheus adds."""

from __future__ import annotations

from typing import Any

import yaml

from deploy.prometheus.rule_files import rule_files
from tests.deploy.exported_metrics import exported_metrics
from tests.deploy.promql import selections

RULES: list[dict[str, Any]] = [
    rule for text in rule_files().values() for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
]
RECORDINGS = [rule for rule in RULES if "record" in rule]
ALERTS = [rule for rule in RULES if "alert" in rule]


def known_series() -> dict[str, frozenset[str]]:
    """Name of a series → all labels that it may have, those of the scrape left out."""
    known = {**exported_metrics(), "up": frozenset[str]()}
    for rule in RECORDINGS:
        known[rule["record"]] = labels_of(rule, known)
    alerts = [labels_of(rule, known) for rule in ALERTS]
    return {**known, "ALERTS": frozenset({"alertname", "alertstate"}).union(*alerts)}


def labels_of(rule: dict[str, Any], known: dict[str, frozenset[str]]) -> frozenset[str]:
    """Those of what it asks for, and its own."""
    parts = [known[selected.name] for selected in selections(rule["expr"])]
    return frozenset().union(*parts) | set(rule.get("labels", {}))
