"""Rules and alerts agree with the code: metrics, labels, codes, runbooks, and the committed files with their source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.__main__ import RULES
from deploy.prometheus.drift_rules import FLEET, DriftWindow
from deploy.prometheus.rule_files import rule_files
from serving.metrics import CODES
from serving.status import STATUSES
from tests.deploy.exported_metrics import SCRAPE_LABELS
from tests.deploy.known_series import ALERTS, RECORDINGS, known_series
from tests.deploy.promql import listed_labels, selections

ROOT = Path(__file__).parents[2]
FILES = rule_files()
ANNOTATIONS = {"summary", "description", "runbook_url"}


def rules_of(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def title(rule: dict[str, Any]) -> str:
    return " ".join([rule.get("alert") or rule["record"], *rule.get("labels", {}).values()])


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_is_written(name: str) -> None:
    assert (RULES / name).read_text(encoding="utf-8") == FILES[name], "run python -m deploy.prometheus"


def test_no_other_file_is_loaded() -> None:
    assert {path.name for path in RULES.iterdir()} == set(FILES)


@pytest.mark.parametrize("rule", [*RECORDINGS, *ALERTS], ids=title)
def test_every_series_and_label_exists(rule: dict[str, Any]) -> None:
    known = known_series()
    asked = selections(rule["expr"])
    assert asked
    for selected in asked:
        assert selected.name in known, "no such metric in the code, nor a rule before this one that records it"
        labels = known[selected.name] | SCRAPE_LABELS
        assert {label for label, _, _ in selected.matchers} <= labels, selected.name
    everything = SCRAPE_LABELS.union(*(known[selected.name] for selected in asked))
    assert listed_labels(rule["expr"]) <= everything
    told = "".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= everything


@pytest.mark.parametrize("rule", ALERTS, ids=title)
def test_every_alert_says_what_and_how_grave_and_has_its_page(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == ANNOTATIONS
    assert all(rule["annotations"].values())
    assert rule["labels"]["severity"] in ("critical", "warning")
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page.is_relative_to(ROOT / "docs" / "runbooks")
    assert rule["alert"] in page.read_text(encoding="utf-8"), "a page names the alerts that lead to it"


def test_no_page_is_without_an_alert() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {rule["annotations"]["runbook_url"] for rule in ALERTS}


def test_codes_of_faults_are_codes_that_are_answered() -> None:
    told = {str(status.http) for status in STATUSES.values()} | {status.grpc.name for status in STATUSES.values()}
    told |= {"200", "500", "OK", "INTERNAL"}
    for text in FILES.values():
        for rule in rules_of(text):
            for selected in selections(rule["expr"]):
                values = [value for label, _, value in selected.matchers if label == "code"]
                assert {code for value in values for code in value.split("|")} <= told
    assert {code for codes in CODES.values() for code in codes} <= told


def test_replicas_are_added_up_within_a_fleet_only() -> None:
    for rule in RECORDINGS:
        for labels in re.findall(r"\b(?:sum|max) by \(([^)]*)\)", rule["expr"]):
            assert set(FLEET) <= {label.strip() for label in labels.split(",")}, rule["record"]


def test_runbooks_and_windows_may_be_chosen() -> None:
    written = rule_files([DriftWindow("6h", "1m")], "https://wiki.example.com/runbooks")
    assert set(written) == {"drift-6h.yml", "alerts.yml"}
    assert "tidegate_signal_bin_total[6h]" in written["drift-6h.yml"]
    pages = [rule["annotations"]["runbook_url"] for rule in rules_of(written["alerts.yml"]) if "alert" in rule]
    assert all(page.startswith("https://wiki.example.com/runbooks/") for page in pages)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_a_page_asks_for_what_there_is(page: Path) -> None:
    known = known_series()
    queries = re.findall(r"query instant \S+ '([^']+)'", page.read_text(encoding="utf-8"))
    assert queries, "a page shows how to see it"
    for query in queries:
        for selected in selections(query):
            assert selected.name in known, query
            assert {label for label, _, _ in selected.matchers} <= known[selected.name] | SCRAPE_LABELS, query
