"""Tail probabilities of two distributions, in plain Python: a server must not carry a statistics library for two sums.

Alarm thresholds lie far out (one in a million and beyond), so both are accurate there, in relative terms.
"""

from __future__ import annotations

import math

MAX_TERMS = 400
NEGLIGIBLE = 1e-12


def chi2_upper_tail(statistic: float, degrees: int) -> float:
    """P(χ² ≥ statistic) for a whole number of degrees of freedom: a finite sum (Abramowitz & Stegun 26.4.4–5)."""
    half = statistic / 2
    if half <= 0 or degrees < 1:
        return 1.0
    start, total = (0.0, 0.0) if degrees % 2 == 0 else (0.5, math.erfc(math.sqrt(half)))
    log_half = math.log(half)
    for i in range(degrees // 2):
        power = i + start
        total += math.exp(power * log_half - half - math.lgamma(power + 1))
    return min(1.0, total)


def hypergeometric_upper_tail(seen: float, drawn: float, marked: float, total: float) -> float:
    """P(X ≥ seen), where X counts the marked among `drawn` taken without replacement from `total` holding `marked`.

    This is Fisher's exact test, one-sided. Counts may be fractional (effective sample sizes): factorials become gamma
    functions. Whatever is not summed term by term is bounded by a geometric series, so the answer errs upwards.
    """
    seen = min(seen, marked, drawn)
    if seen <= 0:
        return 1.0
    unmarked_left = total - marked - drawn
    log_first = (
        log_binomial(marked, seen)
        + log_binomial(total - marked, max(0.0, min(drawn - seen, total - marked)))
        - log_binomial(total, drawn)
    )
    term = series = 1.0
    for i in range(MAX_TERMS):
        k = seen + i
        ratio = (marked - k) * (drawn - k) / ((k + 1) * max(1.0, unmarked_left + k + 1))
        if marked <= k or drawn <= k or term < NEGLIGIBLE * series:
            break
        term *= ratio
        series += term
    else:
        series = series + term * ratio / (1 - ratio) if ratio < 1 else math.inf
    return min(1.0, math.exp(min(0.0, log_first + math.log(series)))) if math.isfinite(series) else 1.0


def log_binomial(n: float, k: float) -> float:
    """ln of "n choose k"."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
