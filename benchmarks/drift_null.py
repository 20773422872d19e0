"""How true are drift p-values far out in the tail, where alarm thresholds lie?

    python -m benchmarks.drift_null

No simulation of plain windows reaches one in ten million. Windows are therefore drawn from a mixture of overdispersed
(Dirichlet-multinomial) proposals and weighted back to the multinomial they stand for: importance sampling with exact
weights. Printed is the true probability of p ≤ rate divided by the rate: 1 is perfect, below 1 is on the safe side,
"?" is too uncertain to print. Beside our test (G with Williams' correction, thin bins joined, Fisher's test per bin):
Pearson's X² and PSI against the χ² that they follow in large samples.

Then the same for signals that spread a picture over several bins, as the classes of its boxes do (tilted_windows.py),
where the values of one picture depend on each other, and where few pictures of a window have the signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmarks.tilted_windows import draw_windows as draw_weighted_windows
from monitoring.drift import BinCounts, g_test, judge_signal, population_stability_index
from monitoring.profile import ReferenceHistogram
from monitoring.tails import chi2_upper_tail

Counts = NDArray[np.float64]
RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
NUM_DRAWS = 20_000
MAX_RELATIVE_ERROR = 0.2
SPREADS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Overdispersion of each proposal; 0 is the multinomial itself."""
TAILED = (0.01, 0.09, *[0.1] * 8, 0.09, 0.01)
SETTINGS: Mapping[str, tuple[tuple[float, ...], int, int]] = {
    "profile bins, 5000 against 300": (TAILED, 5000, 300),
    "profile bins, 5000 against 100": (TAILED, 5000, 100),
    "profile bins, 500 against 300": (TAILED, 500, 300),
    "50 classes, 5000 against 300": ((0.02,) * 50, 5000, 300),
    "3 classes, one of 90 %, 5000 against 300": ((0.9, 0.05, 0.05), 5000, 300),
}


def fisher_and_g(reference: Counts, live: Counts) -> float:
    """The p-value that alarms are raised by."""
    names = tuple(map(str, range(len(reference) - 1)))
    histogram = ReferenceHistogram(kind="category", categories=names, counts=tuple(reference.tolist()))
    return judge_signal("signal", histogram, BinCounts(live, live)).p_value


def pearson(reference: Counts, live: Counts) -> float:
    pooled, total = reference + live, reference.sum() + live.sum()
    some = pooled > 0
    statistic = 0.0
    for row in (reference, live):
        expected = pooled[some] * row.sum() / total
        statistic += float(((row[some] - expected) ** 2 / expected).sum())
    return chi2_upper_tail(statistic, int(some.sum()) - 1)


def scaled_psi(reference: Counts, live: Counts) -> float:
    scale = 1 / reference.sum() + 1 / live.sum()
    return chi2_upper_tail(population_stability_index(reference, live) / scale, len(reference) - 1)


TESTS: Mapping[str, Callable[[Counts, Counts], float]] = {
    "ours": fisher_and_g,
    "G alone": g_test,
    "X²": pearson,
    "PSI": scaled_psi,
}


POPULATION = 20_000
NUM_WEIGHTED_DRAWS = 10_000
WEIGHTED_REFERENCE, WEIGHTED_SIZES = 2_000, (300, 100, 30, 5)


def draw_windows(shares: Counts, size: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Windows [draws, bins] from the mixture of proposals, and the weight of each [draws]."""
    spreads = rng.choice(SPREADS, NUM_DRAWS)
    noisy = rng.gamma(np.maximum(shares * size / np.maximum(spreads, 1.0)[:, None], 1e-9))
    proposed = np.where(spreads[:, None] > 0, noisy / noisy.sum(axis=1, keepdims=True), shares)
    windows = rng.multinomial(size, proposed).astype(np.float64)
    orderings = gammaln(size + 1) - gammaln(windows + 1).sum(axis=1)
    log_target = orderings + windows @ np.log(shares)
    log_proposals = [log_target if s == 0 else orderings + log_polya(windows, shares * size / s) for s in SPREADS]
    log_mixture = np.logaddexp.reduce(log_proposals, axis=0) - math.log(len(SPREADS))
    return windows, np.exp(log_target - log_mixture)


def log_polya(windows: Counts, alpha: Counts) -> Counts:
    """Log of the Dirichlet-multinomial probability [draws] of windows [draws, bins], without the orderings."""
    size = windows[0].sum()
    rising = (gammaln(alpha + windows) - gammaln(alpha)).sum(axis=1)
    log_probability: Counts = gammaln(alpha.sum()) - gammaln(alpha.sum() + size) + rising
    return log_probability


def mixed_boxes(rng: np.random.Generator) -> Counts:
    """Shares of ten classes [pictures, bins] among one to six boxes of a picture."""
    num_boxes = rng.integers(1, 7, POPULATION)
    return rng.multinomial(num_boxes, [0.1] * 10) / num_boxes[:, None]


def equal_boxes(rng: np.random.Generator) -> Counts:
    """All boxes of a picture are of one class."""
    return np.eye(10)[rng.integers(10, size=POPULATION)]


def boxes_with_a_rare_class(rng: np.random.Generator) -> Counts:
    """Nine in ten boxes are of one class; several to a picture."""
    num_boxes = 1 + rng.poisson(3, POPULATION)
    return rng.multinomial(num_boxes, [0.9, 0.06, 0.03, 0.01]) / num_boxes[:, None]


def equal_halves(rng: np.random.Generator) -> Counts:
    """Two classes share every picture but one in a hundred, which is all of the first: the hardest that there is."""
    shares = np.full((POPULATION, 2), 0.5)
    shares[rng.random(POPULATION) < 0.01] = 1.0, 0.0
    return shares


def mask_shares(rng: np.random.Generator) -> Counts:
    """A background and one to six objects of very different sizes."""
    sizes = np.exp(rng.uniform(-5, -2.5, (POPULATION, 6))) * (np.arange(6) < rng.integers(1, 7, (POPULATION, 1)))
    shares = np.einsum("po,poc->pc", sizes, np.eye(10)[rng.integers(10, size=sizes.shape)])
    return np.hstack([1 - shares.sum(axis=1, keepdims=True), shares])


POPULATIONS = (mixed_boxes, equal_boxes, boxes_with_a_rare_class, equal_halves, mask_shares)


def weighted_p_values(population: Counts, num_reference: int, num_live: int) -> tuple[Counts, Counts]:
    """p-values of windows drawn from a population [pictures, bins], and the weight of each window."""
    rng = np.random.default_rng(1)
    names, p_values, weights = tuple(map(str, range(population.shape[1]))), [], []
    padded = np.pad(population, [(0, 0), (0, 1)])
    for live, weight in draw_weighted_windows(padded, num_live, NUM_WEIGHTED_DRAWS, rng):
        reference = padded[rng.integers(len(padded), size=num_reference)]
        counts, squares = tuple(reference.sum(axis=0).tolist()), tuple((reference**2).sum(axis=0).tolist())
        histogram = ReferenceHistogram(kind="weighted", categories=names, counts=counts, squares=squares)
        p_values.append(judge_signal("signal", histogram, BinCounts(live.sum(axis=0), (live**2).sum(axis=0))).p_value)
        weights.append(weight)
    return np.array(p_values), np.array(weights)


def main() -> None:
    for name, (shares, num_reference, num_live) in SETTINGS.items():
        rng = np.random.default_rng(0)
        windows, weights = draw_windows(np.array(shares), num_live, rng)
        references = rng.multinomial(num_reference, shares, size=NUM_DRAWS).astype(np.float64)
        print(f"\n{name}\n  {'rate':>8}" + "".join(f"{rate:>9.0e}" for rate in RATES))
        for test, p_value in TESTS.items():
            p_values = np.array([p_value(r, w) for r, w in zip(references, windows, strict=True)])
            ratios = [ratio_text(weights * (p_values <= rate) / rate) for rate in RATES]
            print(f"  {test:>8}" + "".join(f"{ratio:>9}" for ratio in ratios), flush=True)
    for population in POPULATIONS:
        drawn = population(np.random.default_rng(0))
        print(f"\n{population.__name__.replace('_', ' ')}, {WEIGHTED_REFERENCE} against …")
        for num_live in WEIGHTED_SIZES:
            p_values, weights = weighted_p_values(drawn, WEIGHTED_REFERENCE, num_live)
            ratios = [ratio_text(weights * (p_values <= rate) / rate) for rate in RATES]
            print(f"  {num_live:>8}" + "".join(f"{ratio:>9}" for ratio in ratios), flush=True)


def ratio_text(contributions: Counts) -> str:
    """The mean of the contributions [draws], or "?" where chance alone may have made it."""
    mean, error = contributions.mean(), contributions.std() / math.sqrt(contributions.size)
    return f"{mean:.2f}" if error <= MAX_RELATIVE_ERROR * mean else "?"


if __name__ == "__main__":
    main()
