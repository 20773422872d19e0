"""The Pareto front as a picture: what each trial scored against what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from training.figures import save
from training.search.pareto import cost
from training.search.trial import Objective, Trial

BETTER = {"max": "more is better", "min": "less is better"}
LARGE = 10_000
"""Costs from here on are written in thousands and millions."""
ROOM = 0.6
"""Above and below the scores that passed, as a share of their range: what missed a gate by far would squeeze them."""


def draw_front(trials: Sequence[Trial], front: Sequence[Trial], objectives: Sequence[Objective], path: Path) -> None:
    """A panel for each cost, the first objective upwards; with one objective alone, its course over the trials."""
    score, *prices = objectives
    seen = [trial for trial in trials if score.name in trial.figures]
    figure = Figure(figsize=(1 + 5.5 * max(1, len(prices)), 4.8), layout="constrained")
    panels = figure.subplots(1, max(1, len(prices)), squeeze=False)[0]
    if not prices:
        draw_course(panels[0], seen, score)
    for axes, price in zip(panels, prices, strict=False):
        draw_panel(axes, seen, front, score, price)
    figure.suptitle(f"{len(trials)} trials, {len(front)} on the front: nothing beats them in every respect")
    save(figure, path)


def draw_panel(axes: Axes, seen: Sequence[Trial], front: Sequence[Trial], score: Objective, price: Objective) -> None:
    """One cost against the score. Numbers beside the dots are those of the trials."""
    on_front = {trial.number for trial in front}
    beaten = [trial for trial in seen if trial.state == "measured" and trial.number not in on_front]
    missed = [trial for trial in seen if trial.state == "missed"]
    low, high = score_limits(seen, score)
    groups = (
        ("missed a gate (at the edge: beyond)", missed, "x", "tab:red"),
        ("beaten", beaten, ".", "tab:gray"),
        ("front", front, "o", "tab:blue"),
    )
    for label, members, marker, colour in groups:
        if members:
            x = [trial.figures[price.name] for trial in members]
            y = [min(high, max(low, trial.figures[score.name])) for trial in members]
            axes.scatter(x, y, label=label, marker=marker, color=colour, clip_on=False, zorder=3)
    for trial in front:
        place = (trial.figures[price.name], trial.figures[score.name])
        axes.annotate(str(trial.number), place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    draw_stairs(axes, seen, front, score, price)
    axes.set(ylim=(low, high), xlabel=describe(price), ylabel=describe(score))
    if any(trial.figures[price.name] >= LARGE for trial in seen):
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    if seen:
        axes.legend()


def score_limits(seen: Sequence[Trial], score: Objective) -> tuple[float, float]:
    """What is shown of the scores: those that passed with some room; the others lie on its edge if they are beyond."""
    passed = [trial.figures[score.name] for trial in seen if trial.state == "measured"]
    every = passed or [trial.figures[score.name] for trial in seen] or [0.0]
    room = ROOM * (max(every) - min(every)) or 0.05 * abs(every[0]) or 1.0
    return min(every) - room, max(every) + room


def draw_stairs(axes: Axes, seen: Sequence[Trial], front: Sequence[Trial], score: Objective, price: Objective) -> None:
    """The best score that can be had for each cost or less. (Where there are several costs, a panel shows one of them,
    and not all of the front lies on its stairs.)"""
    if not front:
        return
    cheap_first = sorted(front, key=lambda trial: cost(trial, price))
    sign = 1 if score.direction == "min" else -1
    y = [sign * best for best in accumulate((cost(trial, score) for trial in cheap_first), min)]
    x = [trial.figures[price.name] for trial in cheap_first]
    end = max(trial.figures[price.name] for trial in seen)
    axes.plot([*x, end], [*y, y[-1]], drawstyle="steps-post", color="tab:blue", alpha=0.4)


def draw_course(axes: Axes, seen: Sequence[Trial], score: Objective) -> None:
    """Every trial's score in its turn, and the best so far."""
    measured = [trial for trial in seen if trial.state == "measured"]
    numbers, scores = [trial.number for trial in measured], [trial.figures[score.name] for trial in measured]
    axes.scatter(numbers, scores, color="tab:gray", label="trial")
    best = list(accumulate(scores, max if score.direction == "max" else min))
    axes.plot(numbers, best, drawstyle="steps-post", color="tab:blue", label="best so far")
    axes.set(xlabel="trial", ylabel=describe(score))
    axes.grid(alpha=0.3)
    axes.legend()


def describe(objective: Objective) -> str:
    """The label of an axis."""
    return f"{objective.name} ({BETTER[objective.direction]})"
