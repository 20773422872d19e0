import numpy as np
import pytest
from scipy import stats

from benchmarks.drift_null import draw_windows, ratio_text


def test_weighted_windows_stand_for_the_multinomial_even_in_its_tail() -> None:
    shares, size = np.array([0.05, 0.35, 0.6]), 100
    windows, weights = draw_windows(shares, size, np.random.default_rng(0))
    assert windows.sum(axis=1).tolist() == [size] * len(windows)
    assert weights.mean() == pytest.approx(1, abs=0.02)
    tail = (weights * (windows[:, 0] >= 20)).mean()
    assert tail == pytest.approx(stats.binom.sf(19, size, 0.05), rel=0.2)


def test_a_ratio_that_rests_on_one_lucky_draw_is_not_printed() -> None:
    lucky = np.zeros(1000)
    lucky[0] = 1000.0
    assert ratio_text(lucky) == "?"
    assert ratio_text(np.ones(1000)) == "1.00"
