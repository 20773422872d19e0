from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.search_trials import ended_trial
from training.search.pareto import dominates, front_of, pareto_front
from training.search.trial import Objective

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


def test_only_what_missed_nothing_is_worth_having() -> None:
    objectives = [Objective("accuracy", "max"), Objective("latency_ms", "min")]
    trials = [
        ended_trial(0, accuracy=0.9, latency_ms=5.0),
        ended_trial(1, accuracy=0.95, latency_ms=9.0),
        ended_trial(2, accuracy=0.85, latency_ms=6.0),
        ended_trial(3, "missed", accuracy=0.99, latency_ms=1.0),
        ended_trial(4, "failed", reason="out of memory"),
        ended_trial(5, "pruned"),
    ]
    assert [each.number for each in front_of(trials, objectives)] == [0, 1]
    assert [each.number for each in front_of(trials, objectives[:1])] == [1]
    assert [each.number for each in front_of(trials, objectives[1:])] == [0]
