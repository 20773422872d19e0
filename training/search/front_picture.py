"""The Pareto front as a picture: what each trial scored against what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.figures import save
from training.search.pareto import cost
from training.search.trial import Objective, Trial

BETTER = {"max": "more is better", "min": "less is better"}


def draw_front(trials: Sequence[Trial], front: Sequence[Trial], objectives: Sequence[Objective], path: Path) -> None:
    """A panel for each cost, the first objective upwards; with one objective alone, its course over the trials."""
    score, *others = objectives
    seen = [trial for trial in trials if score.name in trial.figures]
    panels = max(1, len(others))
    figure = Figure(figsize=(1 + 5.5 * panels, 4.8), layout="constrained")
    all_axes = figure.subplots(1, panels, squeeze=False)[0]
    if not others:
        draw_course(all_axes[0], seen, score)
    for axes, price in zip(all_axes, others, strict=False):
        draw_panel(axes, seen, front, score, price)
    figure.suptitle(f"{len(trials)} trials, {len(front)} that nothing beats in every respect")
    save(figure, path)


def draw_panel(axes: Axes, seen: Sequence[Trial], front: Sequence[Trial], score: Objective, price: Objective) -> None:
    """One cost against the score. Numbers beside the dots are those of the trials."""
    on_front = {trial.number for trial in front}
    beaten = [trial for trial in seen if trial.state == "measured" and trial.number not in on_front]
    missed = [trial for trial in seen if trial.state == "missed"]
    groups = (
        ("missed a gate", missed, "x", "tab:red"),
        ("beaten", beaten, ".", "tab:gray"),
        ("front", front, "o", "tab:blue"),
    )
    for label, members, marker, colour in groups:
        x, y = ([trial.figures[each.name] for trial in members] for each in (price, score))
        if members:
            axes.scatter(x, y, label=label, marker=marker, color=colour)
    for trial in front:
        place = (trial.figures[price.name], trial.figures[score.name])
        axes.annotate(str(trial.number), place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    steps = staircase(front, score, price)
    axes.plot([x for x, _ in steps], [y for _, y in steps], drawstyle="steps-post", color="tab:blue", alpha=0.4)
    axes.set(xlabel=f"{price.name} ({BETTER[price.direction]})", ylabel=f"{score.name} ({BETTER[score.direction]})")
    axes.grid(alpha=0.3)
    axes.legend()


def staircase(front: Sequence[Trial], score: Objective, price: Objective) -> list[tuple[float, float]]:
    """The best score that can be had for each cost or less, as corners from the cheapest on. (Of several costs a panel
    shows one, so not all of the front lies on its stairs.)"""
    cheap_first = sorted(front, key=lambda trial: cost(trial, price))
    best = accumulate((cost(trial, score) for trial in cheap_first), min)
    sign = 1 if score.direction == "min" else -1
    return [(trial.figures[price.name], sign * value) for trial, value in zip(cheap_first, best, strict=True)]


def draw_course(axes: Axes, seen: Sequence[Trial], score: Objective) -> None:
    """Every trial's score in its turn, and the best so far."""
    measured = [trial for trial in seen if trial.state == "measured"]
    numbers, scores = [trial.number for trial in measured], [trial.figures[score.name] for trial in measured]
    axes.scatter(numbers, scores, color="tab:gray", label="trial")
    best = list(accumulate(scores, max if score.direction == "max" else min))
    axes.plot(numbers, best, drawstyle="steps-post", color="tab:blue", label="best so far")
    axes.set(xlabel="trial", ylabel=f"{score.name} ({BETTER[score.direction]})")
    axes.grid(alpha=0.3)
    axes.legend()
