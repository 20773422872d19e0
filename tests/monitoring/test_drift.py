import json
import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

from monitoring.drift import (
    BinCounts,
    add_counts,
    g_test,
    holm,
    jensen_shannon_distance,
    judge_signal,
    population_stability_index,
    report_drift,
)
from monitoring.profile import Profile, ReferenceHistogram, build_profile
from tasks.task import Category, Observation, Scalar, SignalSpec, WeightedBins

Counts = NDArray[np.float64]
DECILES = np.array([0.01, 0.09, *[0.1] * 8, 0.09, 0.01, 0.0])
COUNTS = hnp.arrays(np.float64, 6, elements=st.integers(0, 1000).map(float)).filter(lambda counts: counts.sum() > 0)


def category_reference(counts: Counts) -> ReferenceHistogram:
    names = tuple(f"class {i}" for i in range(len(counts) - 1))
    return ReferenceHistogram(kind="category", categories=names, counts=tuple(counts.tolist()))


def judge(reference: Counts, live: Counts) -> float:
    return judge_signal("answer", category_reference(reference), BinCounts(live, live)).p_value


def null_p_values(num_live: int, num_trials: int, shares: Counts = DECILES) -> Counts:
    """p-values of windows that come from where the reference came from."""
    rng = np.random.default_rng(0)
    references = rng.multinomial(5000, shares, size=num_trials).astype(float)
    windows = rng.multinomial(num_live, shares, size=num_trials).astype(float)
    return np.array([judge(r, w) for r, w in zip(references, windows, strict=True)])


@pytest.mark.parametrize("num_live", [30, 100, 300, 3000, 20_000])
def test_clean_windows_of_any_size_seldom_look_drifted(num_live: int) -> None:
    p_values = null_p_values(num_live, 2000)
    for rate, slack in ((0.2, 1.15), (0.05, 1.3), (0.01, 1.8)):
        assert (p_values <= rate).mean() <= rate * slack


def test_the_overall_test_is_uniform_under_no_drift() -> None:
    rng = np.random.default_rng(1)
    p_values = np.array(
        [
            g_test(rng.multinomial(5000, DECILES).astype(float), rng.multinomial(300, DECILES).astype(float))
            for _ in range(3000)
        ]
    )
    for rate in (0.05, 0.2, 0.5, 0.8):
        assert (p_values <= rate).mean() == pytest.approx(rate, abs=0.03)


def test_quantile_edges_chosen_from_the_reference_do_not_raise_alarms() -> None:
    rng = np.random.default_rng(2)
    specs, alarms = {"light": SignalSpec(kind="scalar")}, 0
    for _ in range(20):
        profile = build_profile(specs, [{"light": Scalar(v)} for v in rng.standard_normal(2000).tolist()])
        for _ in range(50):
            live = count(profile, [{"light": Scalar(v)} for v in rng.standard_normal(200).tolist()])
            alarms += report_drift(profile, live, alpha=0.05).status == "drift"
    assert alarms <= 1000 * 0.05 * 1.4


def boxes_of_one_kind(num_boxes: NDArray[np.int64], rng: np.random.Generator) -> Counts:
    """Every box of a picture is of the same class: as dependent as can be."""
    return num_boxes[:, None] * np.eye(4)[rng.choice(4, num_boxes.size, p=[0.5, 0.3, 0.15, 0.05])]


def boxes_of_any_kind(num_boxes: NDArray[np.int64], rng: np.random.Generator) -> Counts:
    return rng.multinomial(num_boxes, [0.5, 0.3, 0.15, 0.05]).astype(float)


def boxes_seldom_alone(num_boxes: NDArray[np.int64], rng: np.random.Generator) -> Counts:
    """Nearly always two of each of two classes; all that varies comes of one picture in a hundred."""
    usual = np.tile([2.0, 2.0, 0.0, 0.0], (num_boxes.size, 1))
    usual[rng.random(num_boxes.size) < 0.01] = 1.0, 0.0, 0.0, 0.0
    return usual


@pytest.mark.parametrize("num_live", [5, 30, 300])
@pytest.mark.parametrize("classes_of", [boxes_of_one_kind, boxes_of_any_kind, boxes_seldom_alone])
def test_boxes_that_depend_on_each_other_do_not_raise_alarms(
    classes_of: Callable[[NDArray[np.int64], np.random.Generator], Counts], num_live: int
) -> None:
    rng = np.random.default_rng(7)
    population = classes_of(rng.integers(1, 7, 20_000), rng)
    population = np.pad(population / population.sum(axis=1, keepdims=True), [(0, 0), (0, 1)])
    p_values = np.array(
        [weighted_p_value(*(population[rng.integers(20_000, size=n)] for n in (1000, num_live))) for _ in range(800)]
    )
    for rate in (0.2, 0.05, 0.01):
        assert (p_values <= rate).sum() <= stats.binom.ppf(0.999, p_values.size, rate)
    # Far out, where alarms are raised, a handful of odd pictures must not look like the end of the world.
    assert p_values.min() > 1e-5


def weighted_p_value(reference: Counts, live: Counts) -> float:
    """Of weights [pictures, bins] on both sides."""
    names = tuple(map(str, range(reference.shape[1] - 1)))
    counts, squares = tuple(reference.sum(0).tolist()), tuple((reference**2).sum(0).tolist())
    histogram = ReferenceHistogram(kind="weighted", categories=names, counts=counts, squares=squares)
    return judge_signal("found", histogram, BinCounts(live.sum(0), (live**2).sum(0))).p_value


def test_drift_in_weights_shared_within_a_picture_is_seen() -> None:
    rng = np.random.default_rng(3)
    shares = np.array([[0.4, 0.38, 0.19, 0.03, 0], [0.4, 0.28, 0.29, 0.03, 0]])
    boxes = [rng.multinomial(5, share, number) / 5 for share, number in zip(shares, (3000, 200), strict=True)]
    assert weighted_p_value(*boxes) < 1e-4


def test_effective_counts_make_steady_weights_count_for_more() -> None:
    reference, live = np.tile([0.5, 0.5, 0.0], (3000, 1)), np.tile([0.6, 0.4, 0.0], (300, 1))
    drawn = judge(reference.sum(0), live.sum(0))
    assert weighted_p_value(reference, live) < 1e-20 < 1e-5 < drawn


def test_a_class_that_vanishes_and_one_never_seen_are_named() -> None:
    reference = np.array([500.0] * 10 + [0.0])
    gone = judge_signal("answer", category_reference(reference), one_hot_counts(np.repeat(np.arange(9), 33), 11))
    assert gone.p_value < 1e-7
    assert (gone.bin, gone.live_share) == ("class 9", 0)
    unknown = judge_signal("answer", category_reference(reference), one_hot_counts(np.arange(300) % 11, 11))
    assert unknown.p_value < 1e-7
    assert unknown.bin == "other"


def test_a_constant_signal_is_steady_until_it_changes() -> None:
    specs = {"width": SignalSpec(kind="scalar")}
    profile = build_profile(specs, [{"width": Scalar(640.0)}] * 1000)
    same = report_drift(profile, count(profile, [{"width": Scalar(640.0)}] * 300), alpha=0.01)
    assert (same.status, same.signals[0].p_value, same.signals[0].distance) == ("steady", 1, 0)
    other = report_drift(profile, count(profile, [{"width": Scalar(320.0)}] * 300), alpha=0.01)
    assert (other.status, other.signals[0].distance) == ("drift", 1)


def test_nan_in_live_values_is_drift_when_the_reference_had_none() -> None:
    specs = {"light": SignalSpec(kind="scalar")}
    rng = np.random.default_rng(4)
    profile = build_profile(specs, [{"light": Scalar(v)} for v in rng.standard_normal(5000).tolist()])
    live = [{"light": Scalar(v)} for v in rng.standard_normal(290).tolist()] + [{"light": Scalar(math.nan)}] * 10
    worst = report_drift(profile, count(profile, live), alpha=1e-5).signals[0]
    assert worst.drifted
    assert worst.bin == "other"


def test_replicas_added_up_are_one_that_saw_everything() -> None:
    rng = np.random.default_rng(5)
    specs = {
        "light": SignalSpec(kind="scalar"),
        "answer": SignalSpec(kind="category", categories=("cat", "dog")),
        "found": SignalSpec(kind="weighted", categories=("car", "bus", "tram")),
    }

    def pictures(number: int) -> list[dict[str, Observation]]:
        return [
            {
                "light": Scalar(float(rng.standard_normal())),
                "answer": Category(int(rng.integers(2))),
                "found": WeightedBins(rng.dirichlet([1, 1, 1])),
            }
            for _ in range(number)
        ]

    profile, live = build_profile(specs, pictures(500)), pictures(301)
    together = count(profile, live)
    added = add_counts([count(profile, live[:77]), count(profile, live[77:200]), count(profile, live[200:])])
    for name in specs:
        assert added[name].weights.tolist() == together[name].weights.tolist()
        assert added[name].squares.tolist() == together[name].squares.tolist()
    assert report_drift(profile, added, alpha=0.01) == report_drift(profile, together, alpha=0.01)


def test_an_empty_or_small_window_is_not_judged() -> None:
    profile = build_profile({"light": SignalSpec(kind="scalar")}, [{"light": Scalar(1.0)}] * 10)
    assert report_drift(profile, {}, alpha=0.01).status == "collecting"
    empty = BinCounts(np.zeros(4), np.zeros(4))
    assert report_drift(profile, {"light": empty}, alpha=0.01).signals == ()
    few = count(profile, [{"light": Scalar(5.0)}] * 9)
    report = report_drift(profile, few, alpha=0.01, min_images=10)
    assert (report.status, report.num_images) == ("collecting", 9)


def test_a_report_is_plain_json_even_at_its_extremes() -> None:
    reference = np.array([1e6, 0.0])
    profile = Profile(num_images=10**6, signals={"answer": category_reference(reference)})
    live = np.array([0.0, 1e6])
    report = report_drift(profile, {"answer": BinCounts(live, live)}, alpha=1e-9)
    facts = json.loads(msgspec.json.encode(report))
    assert facts["status"] == "drift"
    assert facts["signals"][0]["drifted"] is True
    assert all(value is not None for value in facts["signals"][0].values())


@given(COUNTS, COUNTS)
def test_any_two_histograms_can_be_compared(reference: Counts, live: Counts) -> None:
    verdict = judge_signal("answer", category_reference(reference), BinCounts(live, live))
    assert 0 <= verdict.p_value <= 1
    assert 0 <= verdict.distance <= 1
    assert verdict.psi >= 0
    expected = distance.jensenshannon(reference, live, base=2)
    assert verdict.distance == pytest.approx(expected, abs=1e-6)


@given(COUNTS)
def test_a_histogram_does_not_differ_from_itself(counts: Counts) -> None:
    assert jensen_shannon_distance(counts, 3 * counts) == pytest.approx(0, abs=1e-6)
    assert population_stability_index(counts, counts) == pytest.approx(0)
    assert judge(counts, counts) > 0.3


def test_holm_is_the_textbook_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def count(profile: Profile, pictures: list[dict[str, Observation]]) -> dict[str, BinCounts]:
    binned = [profile.bin(picture) for picture in pictures]
    stacked = {name: np.array([weights[name] for weights in binned]) for name in profile.signals}
    return {name: BinCounts(rows.sum(0), (rows**2).sum(0)) for name, rows in stacked.items()}


def one_hot_counts(classes: NDArray[np.int64], num_bins: int) -> BinCounts:
    weights = np.bincount(classes, minlength=num_bins).astype(float)
    return BinCounts(weights, weights)
