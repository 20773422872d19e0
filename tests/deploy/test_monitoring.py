"""The monitoring component says what deploy/prometheus and deploy/grafana say."""

from __future__ import annotations

import json
from collections.abc import Callable

import yaml

from deploy.kubernetes.__main__ import PROMETHEUS_RULES, RULE_FILES, prometheus_rules
from tests.deploy.rendering import KUBERNETES, Document

DASHBOARDS = KUBERNETES.parent / "grafana" / "dashboards"


def test_prometheus_rules_are_the_rule_files() -> None:
    assert PROMETHEUS_RULES.read_text(encoding="utf-8") == prometheus_rules(), "run python -m deploy.kubernetes"


def test_every_rule_reaches_the_operator(rendered: Callable[[str], list[Document]]) -> None:
    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(RULE_FILES.glob("*.yml"))]
    groups = {group["name"]: group["rules"] for file in files for group in file["groups"]}
    found = [document for document in rendered("components/monitoring") if document["kind"] == "PrometheusRule"]
    assert {group["name"]: group["rules"] for rule in found for group in rule["spec"]["groups"]} == groups


def test_every_dashboard_reaches_the_sidecar(rendered: Callable[[str], list[Document]]) -> None:
    labelled = [
        document["data"]
        for document in rendered("components/monitoring")
        if document["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    found = {name: json.loads(text) for data in labelled for name, text in data.items()}
    assert found == {file.name: json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS.glob("*.json")}
