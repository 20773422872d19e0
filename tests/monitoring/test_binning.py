from bisect import bisect_right
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.binning import scalar_edges

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(ANY_FLOAT, max_size=200), st.integers(1, 30))
def test_edges_are_finite_increasing_and_few_whatever_the_values(values: list[float], num_bins: int) -> None:
    edges = scalar_edges(np.array(values), num_bins)
    assert all(np.isfinite(edges))
    assert all(low < high for low, high in pairwise(edges))
    assert len(edges) <= 3 * num_bins + 1


def test_continuous_values_fall_into_equal_bins_with_thin_tails() -> None:
    values = np.random.default_rng(0).standard_normal(10_000)
    counts = np.bincount(np.searchsorted(scalar_edges(values, 10), values, side="right"))
    assert counts.tolist() == [100, 900, *[1000] * 8, 900, 100]


def test_a_constant_signal_has_a_bin_of_its_own_and_room_on_both_sides() -> None:
    edges = scalar_edges(np.full(500, 640.0), 10)
    below, same, above = (bisect_right(edges, value) for value in (639.0, 640.0, 641.0))
    assert below < same < above


def test_every_common_value_of_a_discrete_signal_is_told_from_its_neighbours() -> None:
    edges = scalar_edges(np.repeat([320.0, 640.0, 641.0], 300), 10)
    bins = [bisect_right(edges, value) for value in (319, 320, 500, 640, 641, 1000)]
    assert len(set(bins)) == 6


def test_common_value_among_continuous_ones_is_cut_out() -> None:
    values = np.concatenate([np.zeros(500), np.random.default_rng(0).exponential(size=500)])
    edges = scalar_edges(values, 10)
    assert bisect_right(edges, 0.0) != bisect_right(edges, 1e-3)
    assert 7 <= len(edges) <= 9


def test_without_finite_values_there_is_nothing_to_cut() -> None:
    assert scalar_edges(np.array([np.nan, np.inf, -np.inf]), 10) == ()
