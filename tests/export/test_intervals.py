"""The interval of a paired difference covers what it promises to cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.intervals import paired_difference_interval


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_interval_holds_the_estimate_and_mirrors(lost: int, gained: int, unchanged: int) -> None:
    total = lost + gained + unchanged
    low, high = paired_difference_interval(lost, gained, total)
    assert -1 <= low < high <= 1
    if total:
        assert low - 1e-9 <= (gained - lost) / total <= high + 1e-9 or total < 5
    assert paired_difference_interval(gained, lost, total) == pytest.approx((-high, -low))


def test_published_example() -> None:
    """Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness before and after stem cell transplantation:
    21 children, 1 improved, 7 worsened; Bonett–Price gives −0.508 to −0.013."""
    low, high = paired_difference_interval(7, 1, 21)
    assert (low, high) == pytest.approx((-0.508, -0.013), abs=1e-3)


@pytest.mark.parametrize("num_examples", [20, 100, 1000])
@pytest.mark.parametrize(("lost", "gained"), [(0.01, 0.01), (0.05, 0.02), (0.2, 0.1)])
def test_coverage_is_near_95_percent(num_examples: int, lost: float, gained: float) -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(num_examples, [lost, gained, 1 - lost - gained], 4000)
    intervals = np.array([paired_difference_interval(int(a), int(b), num_examples) for a, b, _ in counts])
    covered = (intervals[:, 0] <= gained - lost) & (gained - lost <= intervals[:, 1])
    assert covered.mean() > 0.935


def test_no_example_proves_nothing() -> None:
    assert paired_difference_interval(0, 0, 0) == (-1.0, 1.0)
