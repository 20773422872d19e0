"""The dashboards of this folder: the name of each file, and its text."""

from __future__ import annotations

from deploy.grafana.board import board_json
from deploy.grafana.drift_board import drift_board
from deploy.grafana.generation_board import generation_board
from deploy.grafana.models_board import models_board
from deploy.grafana.registry_board import registry_board
from deploy.grafana.serving_board import serving_board
from deploy.prometheus.rule_files import RUNBOOKS


def dashboard_files(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """File name → text. `runbooks`: the address under which docs/runbooks/ is read."""
    boards = (serving_board(), models_board(), drift_board(), generation_board(), registry_board())
    return {f"tidegate-{board.name}.json": board_json(board, runbooks) for board in boards}
