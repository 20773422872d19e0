"""Dashboards as Grafana reads them: panels and their queries, and what choosing at the top makes of those."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.grafana.dashboard_files import dashboard_files

VARIABLE = re.compile(r"\$\{?([a-zA-Z_]\w*)(?::raw)?\}?")
BUILT_IN = {"__rate_interval", "__range"}


@dataclass(frozen=True)
class PanelQuery:
    """One query of one panel."""

    board: str
    panel: str
    ref_id: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.board}: {self.panel} {self.ref_id}"


def dashboards() -> dict[str, dict[str, Any]]:
    """File name → dashboard."""
    return {name: json.loads(text) for name, text in dashboard_files().items()}


def panels_of(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows left out."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> Iterator[PanelQuery]:
    """All of all dashboards."""
    for name, dashboard in dashboards().items():
        for panel in panels_of(dashboard):
            for target in panel.get("targets", ()):
                yield PanelQuery(
                    name.removesuffix(".json"),
                    panel["title"],
                    target["refId"],
                    target["expr"],
                    target.get("legendFormat", ""),
                )


def variables_in(text: str) -> set[str]:
    return set(VARIABLE.findall(text))


def filled(expression: str, values: Mapping[str, str]) -> str:
    """With a value in the place of each variable. Raises KeyError for one that has none."""
    return VARIABLE.sub(lambda found: values[found[1]], expression)
