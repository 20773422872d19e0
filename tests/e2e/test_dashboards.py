"""Every query of every dashboard, asked of a real Prometheus that scrapes a real server: each has something to show."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

import pytest

from deploy.prometheus.alert_rules import alert_group
from deploy.prometheus.drift_alerts import drift_alert_group
from deploy.prometheus.drift_rules import DriftWindow, drift_group
from deploy.prometheus.fault_rules import fault_group
from deploy.prometheus.rule import file_text
from tests.conftest import find_tool
from tests.deploy.dashboards import PanelQuery, dashboards, filled, queries
from tests.e2e.dashboard_traffic import CLASSIFIER, LANGUAGE, dashboard_server, traffic
from tests.e2e.prometheus_server import PrometheusServer, Sample, start_prometheus

pytestmark = pytest.mark.e2e
ALL = ".*"
WINDOW = "5m"
SCRAPE_INTERVAL = "3s"
"""A scrape that takes longer fails: a busy machine needs its time for what is watched of four models."""
BUILT_IN = {"__rate_interval": "30s", "__range": "5m", "runbooks": "docs/runbooks", "mlflow": "http://localhost:5000"}
EVERYTHING = BUILT_IN | dict.fromkeys(("namespace", "job", "instance", "model", "version"), ALL)
"""As somebody sees a dashboard who has chosen nothing yet."""
ONE_VERSION = {"model": CLASSIFIER, "version": "1", "variant": "fp32", "window": WINDOW, "signal": "brightness"}
QUERIES = list(queries())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """While the traffic goes on. The rules are those that are shipped, evaluated more often."""
    program, folder = find_tool("prometheus"), tmp_path_factory.mktemp("dashboards")
    groups = [fault_group(), alert_group(), drift_group(DriftWindow(WINDOW, "1s")), drift_alert_group(interval="1s")]
    rules = folder / "rules.yml"
    often = [dataclasses.replace(group, interval="1s") for group in groups]
    rules.write_text(file_text("The rules that are shipped, evaluated every second.", often, "docs/runbooks"))
    with (
        dashboard_server(folder / "server") as asked,
        start_prometheus(folder / "prometheus", program, [asked.server.metrics], [rules], SCRAPE_INTERVAL) as started,
    ):
        started.wait_for(lambda: started.query("tidegate_registry_up"), "the server is scraped")
        with traffic(asked):
            started.wait_for(lambda: started.query("tidegate:signal_surprise"), "drift is judged")
            yield started


def values_for(query: PanelQuery) -> dict[str, str]:
    """Where one thing has to be chosen, one; elsewhere all."""
    return EVERYTHING | (ONE_VERSION if query.board == "tidegate-drift" else {})


def numbers(prometheus: PrometheusServer, expression: str) -> list[Sample]:
    """What is more than the news that there is nothing to divide by."""
    return [sample for sample in prometheus.query(expression) if not math.isnan(sample.value)]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_panel_shows_something(prometheus: PrometheusServer, query: PanelQuery) -> None:
    expression = filled(query.expression, values_for(query))
    found = prometheus.wait_for(lambda: numbers(prometheus, expression), expression)
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert any(label in sample.labels for sample in found), f"no line is called by its {label}"


@pytest.mark.parametrize(
    ("board", "model"), [("tidegate-serving", CLASSIFIER), ("tidegate-generation", LANGUAGE)], ids=str
)
def test_one_version_on_one_replica_can_be_looked_at(prometheus: PrometheusServer, board: str, model: str) -> None:
    (up,) = prometheus.query("up")
    chosen = EVERYTHING | {"job": up.labels["job"], "instance": up.labels["instance"], "model": model, "version": "1"}
    for query in QUERIES:
        if query.board == board:
            expression = filled(query.expression, chosen)
            found = prometheus.wait_for(lambda asked=expression: prometheus.query(asked), str(query))
            assert {sample.labels.get("model", model) for sample in found} == {model}, query


def test_every_choice_has_something_to_choose(prometheus: PrometheusServer) -> None:
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query" or variable["name"] == "namespace":  # no Kubernetes, no namespace
                continue
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
            asked = filled(metric, EVERYTHING | (ONE_VERSION if name == "tidegate-drift.json" else {}))
            found = {sample.labels.get(label) for sample in prometheus.query(f"last_over_time({asked}[1m])")}
            assert found - {None}, (name, variable["name"])
            if name == "tidegate-drift.json" and label in ONE_VERSION:
                assert ONE_VERSION[label] in found


def test_nothing_is_wrong_with_the_rules(prometheus: PrometheusServer) -> None:
    assert prometheus.rule_problems() == []
