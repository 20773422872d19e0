"""Dashboards agree with the code, the rules and the runbooks; Grafana finds no two panels in one place."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import DASHBOARDS
from deploy.grafana.dashboard_files import dashboard_files
from deploy.grafana.runbook import RUNBOOK_OF
from tests.deploy.dashboards import BUILT_IN, PanelQuery, dashboards, panels_of, queries, variables_in
from tests.deploy.exported_metrics import SCRAPE_LABELS
from tests.deploy.known_series import known_series
from tests.deploy.promql import listed_labels, selections

ROOT = Path(__file__).parents[2]
FILES = dashboard_files()
BOARDS = dashboards()
KNOWN = known_series()
COLUMNS = 24
MAX_ANNOTATION_BYTES = 262_144
"""kubectl keeps a copy of what it applies in an annotation, which may not be larger."""


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_is_written(name: str) -> None:
    assert (DASHBOARDS / name).read_text(encoding="utf-8") == FILES[name], "run python -m deploy.grafana"


def test_no_other_dashboard_is_loaded() -> None:
    assert {path.name for path in DASHBOARDS.glob("*.json")} == set(FILES)


def test_each_is_found_by_an_identity_of_its_own() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len({board["title"] for board in BOARDS.values()})
    assert {f"{board['uid']}.json" for board in BOARDS.values()} == set(FILES)
    for board in BOARDS.values():
        assert "id" not in board, "Grafana gives it, and would overwrite whatever has that number"
        (link,) = board["links"]
        assert set(link["tags"]) <= set(board["tags"]), "a dashboard is among those that the others lead to"


@pytest.mark.parametrize("name", FILES)
def test_a_config_map_holds_it(name: str) -> None:
    assert len(json.dumps(FILES[name]).encode()) < MAX_ANNOTATION_BYTES * 0.9


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_lie_beside_each_other(board: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [panel["gridPos"] for panel in board["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    for y in {place["y"] for place in places}:
        assert sum(place["w"] for place in places if place["y"] == y) == COLUMNS, f"the line at {y} has a gap"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_panel_says_what_it_shows_and_in_which_unit(board: dict[str, Any]) -> None:
    for panel in panels_of(board):
        if panel["type"] == "text":
            assert panel["options"]["content"]
            continue
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("query", list(queries()), ids=str)
def test_every_series_and_label_exists(query: PanelQuery) -> None:
    asked = selections(query.expression)
    assert asked
    for selected in asked:
        assert selected.name in KNOWN, "no such metric in the code, nor a rule that records it"
        assert {label for label, _, _ in selected.matchers} <= KNOWN[selected.name] | SCRAPE_LABELS, selected.name
    labels = SCRAPE_LABELS.union(*(KNOWN[selected.name] for selected in asked))
    assert listed_labels(query.expression) <= labels
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= labels


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_what_can_be_chosen_is_what_panels_ask_for(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    in_panels = variables_in(json.dumps(board["panels"]))
    # In regular expressions, $1 is what was matched.
    assert in_panels <= set(variables) | BUILT_IN
    assert set(variables) <= in_panels | {"runbooks"}, "a choice without an effect"
    before: set[str] = set()
    for name, variable in variables.items():
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
            (selected,) = selections(metric)
            assert {label, *(label for label, _, _ in selected.matchers)} <= KNOWN[selected.name] | SCRAPE_LABELS
            assert variables_in(metric) <= before, "a choice depends on those before it"
        before.add(name)


def test_links_lead_to_the_pages_of_alerts() -> None:
    led = set()
    for board in BOARDS.values():
        for panel in panels_of(board):
            for link in panel.get("links", ()):
                page = link["url"].replace("${runbooks:raw}", "docs/runbooks")
                assert (ROOT / page).is_file(), panel["title"]
                assert page in panel["description"]
                led |= {alert for alert in RUNBOOK_OF if re.search(rf"\b{alert}\b", panel["description"])}
    assert led == set(RUNBOOK_OF), "whoever is woken finds the numbers"


def test_runbooks_may_be_elsewhere() -> None:
    for text in dashboard_files("https://wiki.example.com/runbooks").values():
        (variable,) = (one for one in json.loads(text)["templating"]["list"] if one["name"] == "runbooks")
        assert variable["query"] == "https://wiki.example.com/runbooks"


def test_grafana_of_compose_is_told_where_they_and_prometheus_are() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    mounts = dict(mount.split(":")[:2] for mount in compose["services"]["grafana"]["volumes"])
    provisioning = next(ROOT / source for source, at in mounts.items() if at == "/etc/grafana/provisioning")
    (provider,) = (
        one for file in (provisioning / "dashboards").iterdir() for one in yaml.safe_load(file.read_text())["providers"]
    )
    assert mounts[f"./{DASHBOARDS.relative_to(ROOT)}"] == provider["options"]["path"]
    (source,) = (
        one
        for file in (provisioning / "datasources").iterdir()
        for one in yaml.safe_load(file.read_text())["datasources"]
    )
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
