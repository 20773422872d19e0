"""Limits of single classes, over seeds and of what changed."""

from __future__ import annotations

import pytest

from export.gates import check_class_limits, class_gates, forgotten_gates
from export.recipe import Tolerances
from registry.manifest import GateResult
from tasks.errors import InvalidRecipe
from tests.populations import forgotten_of, member

CAT, DOG = "cat", "dog"
TRUTHS = [CAT] * 200 + [DOG] * 200


def says(num_cats_lost: int, num_dogs_lost: int) -> list[str]:
    cats = [DOG] * num_cats_lost + [CAT] * (200 - num_cats_lost)
    return [*cats, *[CAT] * num_dogs_lost, *[DOG] * (200 - num_dogs_lost)]


def gates_of(tolerances: Tolerances, *after: list[str]) -> dict[str, GateResult]:
    forgotten, packaged = forgotten_of(TRUTHS, TRUTHS, *after), member(TRUTHS, TRUTHS, after[0])
    found = class_gates(packaged.per_class, forgotten.classes, len(after), tolerances.class_limit)
    others = forgotten_gates(forgotten, tolerances.max_calibration_increase, tolerances.max_changed_share)
    return {gate.name: gate for gate in (*found, *others)}


def tolerances(max_class_drop: float = 0.2, **changes: object) -> Tolerances:
    facts = {"min_decision_agreement": 0, "max_metric_drop": 1, "max_calibration_increase": 0.12}
    return Tolerances(**facts, max_class_drop=max_class_drop, **changes)  # type: ignore[arg-type]


def test_class_with_a_limit_of_its_own_fails_where_others_may_lose_more() -> None:
    lost = says(20, 30)
    assert gates_of(tolerances(), lost)["class_drop"].passed
    gate = gates_of(tolerances(class_drops={CAT: 0.01}), lost)["class_drop"]
    assert (gate.passed, gate.limit, gate.detail) == (False, 0.01, "of cat")
    assert gates_of(tolerances(0.01, class_drops={CAT: 0.2, DOG: 0.2}), lost)["class_drop"].passed


def test_class_that_may_lose_nothing_is_not_failed_by_chance() -> None:
    strict = tolerances(class_drops={CAT: 0.0})
    assert gates_of(strict, says(2, 0))["class_drop"].passed
    assert not gates_of(strict, says(12, 0))["class_drop"].passed


def test_lucky_seed_does_not_hide_what_others_forget() -> None:
    gates = gates_of(tolerances(0.1), says(0, 0), says(80, 0), says(80, 0))
    assert gates["class_drop"].passed
    assert (gates["class_drop_over_seeds"].passed, gates["class_drop_over_seeds"].detail) == (False, "of cat")
    # The calibration errors are 0.1, 0.2 and 0.3, before compression 0.05.
    assert gates["calibration_increase_over_seeds"].value == pytest.approx(0.15)
    assert not gates["calibration_increase_over_seeds"].passed


def test_one_seed_is_not_judged_twice() -> None:
    assert set(gates_of(tolerances(), says(1, 1))) == {"class_drop"}


def test_share_of_changed_answers_may_be_limited() -> None:
    assert gates_of(tolerances(max_changed_share=0.05), says(10, 10))["changed_share"].passed
    assert not gates_of(tolerances(max_changed_share=0.04), says(10, 10))["changed_share"].passed


def test_unknown_class_is_an_error_that_names_the_known_ones() -> None:
    check_class_limits({"int8": {CAT: 0.1}}, [CAT, DOG])
    with pytest.raises(InvalidRecipe, match=r"variants\.int8\.tolerances\.class_drops names 'cow'.*'cat', 'dog'"):
        check_class_limits({"int8": {"cow": 0.1}}, [CAT, DOG])
