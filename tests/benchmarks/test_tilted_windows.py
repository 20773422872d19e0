import numpy as np
import pytest
from scipy import stats

from benchmarks.tilted_windows import draw_windows, find_tilt


def test_tilted_windows_stand_for_the_population_even_far_out_in_the_tail() -> None:
    population = np.repeat(np.eye(2), [100, 900], axis=0)
    drawn = list(draw_windows(population, 100, 4000, np.random.default_rng(0)))
    weights = np.array([weight for _, weight in drawn])
    seen = np.array([window.sum(axis=0)[0] for window, _ in drawn])
    assert weights.mean() == pytest.approx(1, abs=0.05)
    for many in (20, 25, 30):
        assert (weights * (seen >= many)).mean() == pytest.approx(stats.binom.sf(many - 1, 100, 0.1), rel=0.15)
    assert (weights * (seen <= 1)).mean() == pytest.approx(stats.binom.cdf(1, 100, 0.1), rel=0.15)


def test_what_no_window_can_reach_is_not_proposed() -> None:
    population = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert find_tilt(population, 0, 3.0, size=100) is not None
    assert find_tilt(population, 0, 5.0, size=9) is None
    assert find_tilt(np.ones((5, 1)), 0, 3.0, size=9) is None
