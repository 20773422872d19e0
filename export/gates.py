"""Checks of a variant against limits that models of every kind share: of classes, of calibration, of what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from export.forgotten import ClassOverSeeds, Forgotten
from registry.manifest import ClassEvidence, GateResult
from tasks.errors import InvalidRecipe

ClassLimit = Callable[[str], float | None]
"""Label → what the class may lose; None for no limit."""


def at_most(name: str, value: float, limit: float, detail: str = "") -> GateResult:
    """NaN passes nothing."""
    return GateResult(name=name, value=value, limit=limit, passed=value <= limit, detail=detail)


def class_gates(
    per_class: Sequence[ClassEvidence], over_seeds: Sequence[ClassOverSeeds], num_seeds: int, limit_of: ClassLimit
) -> tuple[GateResult, ...]:
    """The loss that a class certainly had: the near end of its interval, so that chance does not fail it. Once of the
    packaged variant, and once of the mean over seeds, so that a lucky one does not hide what such a variant forgets."""
    packaged = {each.label: -each.difference_high for each in per_class if each.support}
    found = [worst_class_gate("class_drop", packaged, limit_of)]
    if num_seeds > 1:
        mean = {each.label: each.certain_loss for each in over_seeds if each.support}
        found.append(worst_class_gate("class_drop_over_seeds", mean, limit_of))
    return tuple(gate for gate in found if gate is not None)


def worst_class_gate(name: str, losses: Mapping[str, float], limit_of: ClassLimit) -> GateResult | None:
    """Of the class that is furthest beyond its own limit, or nearest to it; None where no class has a limit."""
    limits = {label: limit for label in losses if (limit := limit_of(label)) is not None}
    if not limits:
        return None
    worst = max(limits, key=lambda label: max(0.0, losses[label]) - limits[label])
    return at_most(name, max(0.0, losses[worst]), limits[worst], f"of {worst}")


def forgotten_gates(
    forgotten: Forgotten, max_calibration_increase: float | None, max_changed_share: float | None
) -> tuple[GateResult, ...]:
    """Calibration over the seeds, and how many answers changed."""
    gates = []
    if max_calibration_increase is not None and len(forgotten.seeds) > 1:
        increase = forgotten.calibration_error.mean - forgotten.calibration_error.trained
        gates.append(at_most("calibration_increase_over_seeds", increase, max_calibration_increase))
    if max_changed_share is not None:
        gates.append(at_most("changed_share", forgotten.changed_share, max_changed_share))
    return tuple(gates)


def check_class_limits(limited: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> None:
    """`limited`: variant → the classes that its recipe gives a limit of their own. Raises InvalidRecipe for a class
    that the model does not know."""
    for name, classes in limited.items():
        unknown = [each for each in classes if each not in labels]
        if unknown:
            raise InvalidRecipe(
                f"variants.{name}.tolerances.class_drops names {', '.join(map(repr, unknown))}, which the model does "
                f"not know; its classes are {', '.join(map(repr, labels))}"
            )
