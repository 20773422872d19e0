"""The Pareto front: what nothing else beats in every respect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from training.search.trial import Objective, Trial

Name = TypeVar("Name")


def pareto_front(points: Mapping[Name, Sequence[float]]) -> list[Name]:
    """The points that no other dominates, in their order. A point is given by costs: less is better in each. One
    dominates another where it is nowhere worse and somewhere better, so equal points are both on the front."""
    return [name for name, costs in points.items() if not any(dominates(other, costs) for other in points.values())]


def dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    """Is the first nowhere worse, and somewhere better?"""
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The trials worth having, in their order: measured, no gate missed, and on the front."""
    worth = {trial.number: trial for trial in trials if trial.state == "measured"}
    points = {number: costs(trial, objectives) for number, trial in worth.items()}
    return [worth[number] for number in pareto_front(points)]


def costs(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The figures of a measured trial, turned so that less is better in each."""
    return tuple(cost(trial, each) for each in objectives)


def cost(trial: Trial, objective: Objective) -> float:
    """One figure, turned so that less is better."""
    return trial.figures[objective.name] * (1 if objective.direction == "min" else -1)
