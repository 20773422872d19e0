from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.batch_plan import BatchPlan

COSTS = st.dictionaries(st.integers(1, 64), st.floats(1e-6, 10), min_size=1, max_size=7)


@given(COSTS, st.data())
def test_every_batch_fits_and_something_is_always_run(seconds: dict[int, float], data: st.DataObject) -> None:
    plan = BatchPlan(seconds)
    sizes = data.draw(st.lists(st.integers(1, plan.max_rows), min_size=1, max_size=100))
    taken = plan.take(sizes)
    num_rows = sum(sizes[:taken])
    assert 1 <= taken <= len(sizes)
    assert num_rows <= plan.max_rows
    assert plan.bucket_of(num_rows) in seconds
    assert plan.bucket_of(num_rows) >= num_rows


def test_where_rows_cost_the_same_nothing_is_padded() -> None:
    plan = BatchPlan({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0})
    assert [plan.take([1] * waiting) for waiting in (1, 2, 3, 5, 6, 7, 8, 20)] == [1, 2, 2, 4, 4, 4, 8, 8]


def test_where_a_full_batch_costs_what_a_small_one_does_everybody_is_taken() -> None:
    plan = BatchPlan({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0})
    assert [plan.take([1] * waiting) for waiting in (1, 3, 5, 7, 9)] == [1, 3, 5, 7, 8]


def test_small_differences_are_noise_and_the_larger_batch_wins() -> None:
    plan = BatchPlan({1: 1.0, 16: 16.5})
    assert plan.take([1] * 16) == 16


def test_a_batch_that_does_not_fit_any_more_waits() -> None:
    plan = BatchPlan({1: 1.0, 2: 1.0, 4: 1.0})
    assert plan.take([3, 3]) == 1
    assert plan.take([4]) == 1


def test_the_wait_in_a_long_queue_goes_by_the_cheapest_row() -> None:
    assert BatchPlan({1: 1.0, 4: 2.0}).best_row_s == 0.5
