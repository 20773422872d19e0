import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from benchmarks.fleet_drift import (
    Sides,
    chi2_limit,
    false_alarms,
    fleet_statistic,
    fleet_verdicts,
    noticed,
    server_verdicts,
    sides_of,
)
from benchmarks.signal_pool import SignalPool
from monitoring.drift import g_test
from tasks.task import SignalSpec

SPECS = {
    "light": SignalSpec(kind="scalar"),
    "answer": SignalSpec(kind="category", categories=("cat", "dog", "owl")),
    "mix": SignalSpec(kind="weighted", categories=("cat", "dog")),
}


def pool(size: int, seed: int, shift: float = 0.0) -> SignalPool:
    """Pictures whose light is moved by `shift`; a tenth have no mix."""
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet((2.0, 1.0), size)
    mix[rng.random(size) < 0.1] = np.nan
    return SignalPool(SPECS, np.column_stack([rng.normal(shift, 1, size), rng.integers(0, 3, size), mix]))


def counted(reference: NDArray[np.float64], live: NDArray[np.float64]) -> Sides:
    return Sides(reference, live, reference, live)


def test_without_thin_bins_the_statistic_is_that_of_the_server() -> None:
    rng = np.random.default_rng(0)
    reference, live = (rng.multinomial(n, [0.2] * 5).astype(float) for n in (5000, 400))
    statistic, degrees = fleet_statistic(counted(reference, live))
    assert degrees == 4
    assert stats.chi2.sf(statistic, degrees) == pytest.approx(g_test(reference, live))


def test_thin_bins_are_one_and_too_few_pictures_say_nothing() -> None:
    reference = np.array([2000.0, 2000.0, 40.0, 40.0, 40.0])
    assert fleet_statistic(counted(reference, np.array([150.0, 150.0, 10.0, 10.0, 10.0])))[1] == 2
    assert fleet_statistic(counted(reference, np.array([5.0, 5.0, 0.0, 0.0, 0.0]))) == (0.0, 0)
    assert fleet_statistic(counted(reference, np.zeros(5))) == (0.0, 0)


def test_pictures_that_all_fall_where_the_reference_has_none_are_seen_however_thin_that_bin_is() -> None:
    statistic, degrees = fleet_statistic(counted(np.array([2500.0, 2500.0, 0.0]), np.array([0.0, 0.0, 60.0])))
    assert statistic > 5 * chi2_limit(degrees, 1e-5)


@pytest.mark.parametrize("degrees", [1, 3, 11, 100])
@pytest.mark.parametrize("alpha", [1e-3, 1e-5, 1e-7])
def test_the_limit_is_the_quantile_of_chi2_or_a_little_more(degrees: int, alpha: float) -> None:
    exact = stats.chi2.isf(alpha, degrees)
    assert 0.99 * exact <= chi2_limit(degrees, alpha) <= 1.2 * exact, "cautious where it is not exact"


def test_weights_that_hardly_vary_count_for_more_than_votes() -> None:
    rng = np.random.default_rng(1)
    shares = [rng.dirichlet((60.0, 40.0), size) for size in (4000, 1000)]
    one = Sides(*(rows.sum(axis=0) for rows in shares), *((rows**2).sum(axis=0) for rows in shares))
    assert fleet_statistic(one)[0] > 10 * fleet_statistic(counted(one.reference, one.live))[0]


def test_clean_pictures_seldom_alarm_and_moved_ones_nearly_always_do() -> None:
    clean = pool(4000, 2)
    fleet, server = false_alarms(clean, 1000, 400, 200)
    for alarms in (fleet, server):
        assert alarms[0] <= stats.binom.ppf(0.999, 200, 0.05)
    assert noticed(pool(6000, 3), pool(1000, 4, shift=1.0), 300, 5) == (1.0, 1.0)


def test_a_signal_that_one_side_does_not_have_is_left_out() -> None:
    clean = pool(600, 5)
    rows = np.array(clean.values)
    rows[300:, 2:] = np.nan
    signals = sides_of(clean, rows[:300], rows[300:])
    assert set(signals) == {"light", "answer"}
    assert fleet_verdicts(signals, (1e-9,)) == server_verdicts(signals, (1e-9,)) == [False]


def test_a_class_that_covers_little_of_a_mask_is_missed_as_soon_as_its_variation_allows() -> None:
    """Its share of the pixels adds up to few pictures, and hardly varies."""
    rng = np.random.default_rng(6)
    small = [rng.normal(0.01, 0.002, size) for size in (5000, 500)]
    small[1] *= 0.5
    shares = [np.column_stack([1 - rows, rows]) for rows in small]
    one = Sides(*(rows.sum(axis=0) for rows in shares), *((rows**2).sum(axis=0) for rows in shares))
    statistic, degrees = fleet_statistic(one)
    assert one.live[1] < 8
    assert statistic > chi2_limit(degrees, 1e-5)
