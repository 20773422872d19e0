"""Does live traffic still look like the reference? Pure functions of two histograms.

A distance says how far, a p-value how surprising. Fixed thresholds on a distance cry wolf in small windows and sleep
in large ones, so alarms are raised by p-values alone. Per signal two tests share the blame (Bonferroni):

* the likelihood-ratio statistic G over all bins against χ², with Williams' correction (1976) for both sample sizes.
  Its tail stays near the truth down to 10⁻⁷, where Pearson's X² is off tenfold and more (benchmarks/drift_null.py
  measures both); bins expected to be nearly empty are joined first;
* Fisher's exact test of every single bin, for what sums drown: a class never seen, a value far outside. It is valid
  at any count. For quantile bins of a continuous signal it is exact by exchangeability, although the data chose them.

Signals overlap (entropy follows confidence), so they are corrected by Holm (1979), valid under any dependence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.profile import Profile, ReferenceHistogram
from monitoring.tails import chi2_upper_tail, hypergeometric_upper_tail

MIN_EXPECTED = 8.0
"""Bins with a smaller expected count (in the smaller sample) are joined before the G test."""
MIN_INFORMATIVE = 13.0
"""Pictures' worth of variance that the smaller sample must hold before a bin's variance is believed, see below: about
the least with which p-values err on the safe side down to 10⁻⁶ (benchmarks/drift_null.py)."""
TESTS_PER_SIGNAL = 2
PSI_PRIOR = 0.5
"""Added to every count for PSI alone, which an empty bin would make infinite."""

Counts = NDArray[np.float64]


class BinCounts(NamedTuple):
    """Live counts of one signal: sums over pictures of the bin weights [bins] and of their squares [bins].

    Both are plain sums, so those of two windows or two replicas add up. Where every picture falls into one bin the
    two are the same numbers. `weights` sums to the number of pictures.
    """

    weights: Counts
    squares: Counts

    @property
    def num_images(self) -> float:
        return float(self.weights.sum())

    def plus(self, other: BinCounts) -> BinCounts:
        """The counts of both."""
        return BinCounts(self.weights + other.weights, self.squares + other.squares)


class SignalDrift(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one signal. `distance` is Jensen–Shannon's, 0 (same) to 1 (disjoint); `psi` is for those used
    to it. `adjusted_p_value` is corrected across signals; at or below the report's `alpha` the signal has drifted.
    `bin` is where the picture is most surprising, with its share of the reference and of the window. `num_images`:
    pictures of the window that have the signal, which is all that it is judged by."""

    signal: str
    num_images: float
    distance: float
    psi: float
    p_value: float
    adjusted_p_value: float
    drifted: bool
    bin: str
    reference_share: float
    live_share: float


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a window of `num_images` pictures, most surprising signal first.

    "collecting": fewer than `min_images` so far, nothing was tested. `alpha` is the chance of a false "drift"."""

    status: Literal["collecting", "steady", "drift"]
    num_images: float
    min_images: float
    reference_images: int
    alpha: float
    signals: tuple[SignalDrift, ...] = ()


def report_drift(
    profile: Profile, window: Mapping[str, BinCounts], *, alpha: float, min_images: float = 1
) -> DriftReport:
    """Compare summed counts, of one window or of many replicas, with the reference. Signals that either side has never
    observed are left out; `num_images` is that of the fullest signal. One that fewer pictures have is judged by those:
    its p-value knows how few they are, while what nobody has (no boxes, no area of boxes) must show elsewhere."""
    known = [name for name, histogram in profile.signals.items() if sum(histogram.counts) > 0]
    present = {name: window[name] for name in known if name in window and window[name].num_images > 0}
    num_images = max((counts.num_images for counts in present.values()), default=0.0)
    head = DriftReport(
        status="collecting",
        num_images=num_images,
        min_images=min_images,
        reference_images=profile.num_images,
        alpha=alpha,
    )
    if num_images < min_images or not present:
        return head
    verdicts = [judge_signal(name, profile.signals[name], counts) for name, counts in present.items()]
    adjusted = holm([verdict.p_value for verdict in verdicts])
    signals = [
        msgspec.structs.replace(verdict, adjusted_p_value=p, drifted=p <= alpha)
        for verdict, p in zip(verdicts, adjusted, strict=True)
    ]
    signals.sort(key=lambda s: (s.adjusted_p_value, -s.distance, s.signal))
    status: Literal["steady", "drift"] = "drift" if any(s.drifted for s in signals) else "steady"
    return msgspec.structs.replace(head, status=status, signals=tuple(signals))


def judge_signal(name: str, reference: ReferenceHistogram, live: BinCounts) -> SignalDrift:
    """Distance and p-value of one signal, not yet corrected for the others."""
    expected, seen = np.array(reference.counts), live.weights
    by_bin = bin_p_values(expected, np.array(reference.squares or reference.counts), live)
    tested = int(np.count_nonzero(expected + seen > 0))
    p_value = min(1.0, TESTS_PER_SIGNAL * min(g_test(expected, seen), tested * float(by_bin.min())))
    worst = int(by_bin.argmin())
    return SignalDrift(
        signal=name,
        num_images=live.num_images,
        distance=jensen_shannon_distance(expected, seen),
        psi=population_stability_index(expected, seen),
        p_value=p_value,
        adjusted_p_value=p_value,
        drifted=False,
        bin=reference.bin_names()[worst],
        reference_share=float(expected[worst] / expected.sum()),
        live_share=float(seen[worst] / seen.sum()),
    )


def jensen_shannon_distance(reference: Counts, live: Counts) -> float:
    """Square root of the Jensen–Shannon divergence to base 2 of two count vectors [bins]."""
    p, q = reference / reference.sum(), live / live.sum()
    middle = (p + q) / 2
    divergence = (relative_entropy(p, middle) + relative_entropy(q, middle)) / (2 * math.log(2))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def population_stability_index(reference: Counts, live: Counts) -> float:
    """PSI of two count vectors [bins]."""
    p, q = (reference + PSI_PRIOR) / (reference + PSI_PRIOR).sum(), (live + PSI_PRIOR) / (live + PSI_PRIOR).sum()
    return float(((q - p) * np.log(q / p)).sum())


def relative_entropy(p: Counts, q: Counts) -> float:
    """Σ p ln(p / q), in nats, where q > 0 wherever p > 0."""
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def g_test(reference: Counts, live: Counts) -> float:
    """p-value of the G test that two count vectors [bins] come from one distribution.

    For weighted signals it errs on the safe side: a picture's weights vary less than one class drawn from them, and G
    is convex in the counts, so treating weights as counts can only make the p-value larger.
    """
    joined = np.array([join_sparse(row, reference, live) for row in (reference, live)])
    num_bins, total = joined.shape[1], joined.sum()
    if num_bins < 2:
        return 1.0
    rows, columns = joined.sum(axis=1, keepdims=True), joined.sum(axis=0)
    statistic = 2 * relative_entropy(joined, rows * columns / total)
    correction = (float((total / rows).sum()) - 1) * (float((total / columns).sum()) - 1)
    return chi2_upper_tail(statistic / (1 + correction / (6 * total * (num_bins - 1))), num_bins - 1)


def join_sparse(row: Counts, reference: Counts, live: Counts) -> list[float]:
    """Counts [bins] → counts of the bins that are well filled, then of neighbouring thin bins taken together.

    Who is joined follows from the sum of both samples alone, on which the test is conditional: looking is allowed.
    """
    pooled = reference + live
    share = min(reference.sum(), live.sum()) / pooled.sum()
    filled = pooled * share >= MIN_EXPECTED
    joined, count, expected = list(row[filled]), 0.0, 0.0
    for index in np.flatnonzero(~filled):
        count += row[index]
        expected += pooled[index] * share
        if expected >= MIN_EXPECTED:
            joined.append(count)
            count = expected = 0.0
    if expected and joined:
        joined[-1] += count
    return joined


def bin_p_values(reference: Counts, reference_squares: Counts, live: BinCounts) -> Counts:
    """Two-sided p-value of each bin [bins] by Fisher's exact test of "in this bin" against "elsewhere".

    Weights vary less than counts by the design effect δ = variance / (p (1 − p)) ≤ 1 (Rao & Scott, 1981), which the
    summed squares give with the picture as the unit; the test runs on the effective counts, divided by δ. A small δ
    may come of a few pictures that fall into one bin alone among many that are all alike: of n pictures as few as n·δ
    then carry all the variance, and where they are a handful, sums have far heavier tails. So δ is never taken to be
    less than MIN_INFORMATIVE / n.
    """
    num_reference, num_live = float(reference.sum()), live.num_images
    least_effect = MIN_INFORMATIVE / min(num_reference, num_live)
    total = num_reference + num_live
    p_values = np.ones(reference.size)
    for index in np.flatnonzero((reference + live.weights > 0) & (reference + live.weights < total)):
        seen, marked = float(live.weights[index]), float(reference[index] + live.weights[index])
        share = marked / total
        variance = float(reference_squares[index] + live.squares[index]) / total - share * share
        effect = min(1.0, max(least_effect, variance / (share * (1 - share))))
        if seen < share * num_live:
            seen, marked = num_live - seen, total - marked
        tail = hypergeometric_upper_tail(seen / effect, num_live / effect, marked / effect, total / effect)
        p_values[index] = min(1.0, 2 * tail)
    return p_values


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for their number, in the order given (Holm, 1979)."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def add_counts(windows: Iterable[Mapping[str, BinCounts]]) -> dict[str, BinCounts]:
    """The counts of several replicas as if one had seen everything."""
    total: dict[str, BinCounts] = {}
    for window in windows:
        for name, counts in window.items():
            seen = total.get(name)
            total[name] = seen.plus(counts) if seen else counts
    return total
