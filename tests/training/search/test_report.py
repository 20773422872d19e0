from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.search_trials import ended_trial
from training.search.pareto import front_of
from training.search.report import format_figure, table_of, write_report
from training.search.trial import Objective, Trial

SCORE, LATENCY, SIZE = Objective("bits", "min"), Objective("latency_ms", "min"), Objective("num_bytes", "min")


def measured(number: int, bits: float, latency_ms: float, num_bytes: float, reason: str = "") -> Trial:
    figures = {"bits": bits, "latency_ms": latency_ms, "num_bytes": num_bytes}
    return ended_trial(number, "missed" if reason else "measured", ("a=1", 'b="x|y"'), reason, **figures)


TRIALS = [
    measured(0, 1.5, 4.0, 1e6),
    measured(1, 1.2, 9.0, 2e6),
    measured(2, 1.9, 9.0, 3e6),
    measured(3, 9.9, 0.1, 100.0, "bits_increase 8.2, limit 0.1"),
    ended_trial(4, "failed", ("a=2",), "RuntimeError: two\nlines"),
    ended_trial(5, "pruned", ("a=3",), "worse than the median after 2 epochs"),
]


@pytest.mark.parametrize(
    ("trials", "objectives"),
    [
        (TRIALS, (SCORE, LATENCY, SIZE)),
        (TRIALS[3:], (SCORE, LATENCY)),
        (TRIALS[4:], (SCORE, LATENCY)),
        (TRIALS, (SCORE,)),
    ],
)
def test_a_picture_a_table_and_the_trials_are_written(
    tmp_path: Path, trials: list[Trial], objectives: tuple[Objective, ...]
) -> None:
    write_report(trials, front_of(trials, objectives), objectives, tmp_path)
    with Image.open(tmp_path / "front.png") as picture:
        assert picture.width >= 500 * max(1, len(objectives) - 1)
    assert len((tmp_path / "trials.md").read_text().splitlines()) == 2 + len(trials)
    assert len(json.loads((tmp_path / "trials.json").read_text())["trials"]) == len(trials)


def test_the_table_has_the_best_on_top_and_what_has_no_figures_below() -> None:
    header, rows = table_of(TRIALS, front_of(TRIALS, (SCORE, LATENCY)), (SCORE, LATENCY))
    assert header == ["trial", "", "bits", "latency_ms", "num_bytes", "changes", "reason"]
    assert [row[0] for row in rows] == ["1", "0", "2", "3", "4", "5"]
    assert [row[1] for row in rows] == ["front", "front", "measured", "missed", "failed", "pruned"]
    assert rows[0][2:5] == ["1.2", "9", "2,000,000"]
    assert rows[4][2:5] == ["", "", ""]


def test_cells_do_not_break_the_table(tmp_path: Path) -> None:
    write_report(TRIALS, [], (SCORE,), tmp_path)
    lines = (tmp_path / "trials.md").read_text().splitlines()
    assert all(line.replace("\\|", "").count("|") == 8 for line in lines)


@pytest.mark.parametrize(("value", "text"), [(0.98765, "0.9877"), (1e-5, "1e-05"), (1234567.0, "1,234,567")])
def test_figures_are_short(value: float, text: str) -> None:
    assert format_figure(value) == text
