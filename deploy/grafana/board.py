"""A dashboard as rows of panels, and the JSON that Grafana reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, Panel

from deploy.grafana.variables import Variable, address, datasource

TAG = "tidegate"


@dataclass(frozen=True)
class Section:
    """Panels under a heading, left to right and then the next line; each line is 24 columns wide."""

    title: str
    panels: Sequence[Builder[Panel]]


@dataclass(frozen=True)
class Board:
    """`name`: of its file, and, after "tidegate-", the identity that addresses lead to. `says`: whom it is for."""

    name: str
    title: str
    says: str
    variables: Sequence[Variable]
    sections: Sequence[Section]


def board_json(board: Board, runbooks: str) -> str:
    """The text of a file. `runbooks`: the address under which docs/runbooks/ is read."""
    chosen = [datasource(), *board.variables, address("runbooks", "Runbooks at", runbooks)]
    dashboard = (
        Dashboard(f"Tidegate / {board.title}")
        .uid(f"tidegate-{board.name}")
        .description(board.says)
        .tags([TAG])
        .timezone(TimeZoneBrowser)
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(other_boards())
        .variables(chosen)
    )
    for section in board.sections:
        dashboard = dashboard.with_row(Row(section.title))
        for panel in section.panels:
            dashboard = dashboard.with_panel(panel)
    made = dashboard.build()
    for number, panel_or_row in enumerate(made.panels or (), 1):
        panel_or_row.id_val = number
    return JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False).encode(made) + "\n"


def other_boards() -> DashboardLink:
    """From each dashboard to the others, with what was chosen and for the same time."""
    return (
        DashboardLink("Tidegate")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(False)
        .include_vars(True)
        .keep_time(True)
    )
