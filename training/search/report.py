"""What a search leaves for people and programs: a picture of the front, a table, and all trials as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from training.search.front_picture import draw_front
from training.search.pareto import cost
from training.search.trial import Objective, Trial

PICTURE, TABLE, TRIALS = "front.png", "trials.md", "trials.json"
WHOLE = 1000
"""From here on a figure is a count, and its decimals say nothing."""


def write_report(
    trials: Sequence[Trial], front: Sequence[Trial], objectives: Sequence[Objective], folder: Path
) -> None:
    """Three files into an existing folder."""
    draw_front(trials, front, objectives, folder / PICTURE)
    header, rows = table_of(trials, front, objectives)
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *map(escape, rows))]
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    facts = {"objectives": objectives, "front": [trial.number for trial in front], "trials": trials}
    (folder / TRIALS).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def table_of(
    trials: Sequence[Trial], front: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the best by the first objective on top, those without figures at the bottom."""
    names = [each.name for each in objectives]
    names += sorted({name for trial in trials for name in trial.figures} - set(names))
    on_front = {trial.number for trial in front}
    rows = [
        [
            str(trial.number),
            "front" if trial.number in on_front else trial.state,
            *(format_figure(trial.figures[name]) if name in trial.figures else "" for name in names),
            "  ".join(trial.overrides),
            trial.reason,
        ]
        for trial in sorted(trials, key=lambda trial: rank(trial, objectives[0]))
    ]
    return ["trial", "", *names, "changes", "reason"], rows


def rank(trial: Trial, objective: Objective) -> tuple[bool, float]:
    """Sorts the best first."""
    if objective.name not in trial.figures:
        return True, trial.number
    return False, cost(trial, objective)


def format_figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.4g}"


def escape(row: Sequence[str]) -> list[str]:
    """Cells of a table in Markdown."""
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in row]
