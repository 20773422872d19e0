from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.search.pareto import dominates, front_of, pareto_front
from training.search.trial import Objective, Trial

costs = st.tuples(*[st.integers(0, 6).map(float)] * 3)


@given(st.dictionaries(st.integers(), costs))
def test_nothing_on_the_front_is_dominated_and_everything_else_is_by_it(points: dict[int, tuple[float, ...]]) -> None:
    front = pareto_front(points)
    for name in front:
        assert not any(dominates(other, points[name]) for other in points.values())
    for name in points.keys() - front:
        assert any(dominates(points[member], points[name]) for member in front)


@given(st.dictionaries(st.integers(), costs, min_size=1))
def test_the_best_in_any_respect_is_on_the_front(points: dict[int, tuple[float, ...]]) -> None:
    front = pareto_front(points)
    for index in range(3):
        assert min(points[name][index] for name in front) == min(each[index] for each in points.values())


@given(st.dictionaries(st.integers(), costs, min_size=1))
def test_equal_points_share_their_fate(points: dict[int, tuple[float, ...]]) -> None:
    front = {points[name] for name in pareto_front(points)}
    assert {name for name in points if points[name] in front} == set(pareto_front(points))


def trial(number: int, accuracy: float, latency_ms: float, state: str = "measured") -> Trial:
    figures = {"accuracy": accuracy, "latency_ms": latency_ms}
    return Trial(number=number, overrides=(), state=state, figures=figures)  # type: ignore[arg-type]


def test_only_what_missed_nothing_is_worth_having() -> None:
    objectives = [Objective("accuracy", "max"), Objective("latency_ms", "min")]
    trials = [
        trial(0, 0.9, 5.0),
        trial(1, 0.95, 9.0),
        trial(2, 0.85, 6.0),
        trial(3, 0.99, 1.0, "missed"),
        Trial(number=4, overrides=(), state="failed", reason="out of memory"),
        Trial(number=5, overrides=(), state="pruned"),
    ]
    assert [each.number for each in front_of(trials, objectives)] == [0, 1]
    assert [each.number for each in front_of(trials, objectives[:1])] == [1]
    assert [each.number for each in front_of(trials, objectives[1:])] == [0]
