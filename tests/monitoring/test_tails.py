import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monitoring.tails import chi2_upper_tail, hypergeometric_upper_tail


@given(st.floats(0, 1400), st.integers(1, 1000))
def test_chi2_tail_is_the_textbook_one(statistic: float, degrees: int) -> None:
    expected = stats.chi2.sf(statistic, degrees)
    assert math.isclose(chi2_upper_tail(statistic, degrees), expected, rel_tol=1e-8, abs_tol=1e-300)


@given(st.data())
def test_hypergeometric_tail_is_exact_for_whole_counts(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 6000))
    drawn, marked = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    seen = data.draw(st.integers(max(0, drawn + marked - total), min(drawn, marked)))
    expected = stats.hypergeom.sf(seen - 1, total, marked, drawn)
    found = hypergeometric_upper_tail(seen, drawn, marked, total)
    assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-250)


def test_counters_of_a_million_replica_hours_err_only_upwards() -> None:
    exact = stats.hypergeom.sf(10_300_000 - 1, 10**9, 10**8, 10**8)
    assert exact <= hypergeometric_upper_tail(10_300_000, 10**8, 10**8, 10**9) <= 1


@given(st.floats(0.5, 40), st.floats(1, 300), st.floats(0, 500))
def test_fractional_counts_give_a_probability_that_falls_with_what_was_seen(
    seen: float, drawn: float, rest: float
) -> None:
    marked = seen + 20
    total = marked + drawn + rest
    fewer = hypergeometric_upper_tail(min(seen, drawn) * 0.9, drawn, marked, total)
    more = hypergeometric_upper_tail(min(seen, drawn), drawn, marked, total)
    assert 0 <= more <= 1
    assert more <= fewer * (1 + 1e-9) or fewer == pytest.approx(1)
