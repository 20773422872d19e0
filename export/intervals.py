"""Confidence intervals for "before and after" on the same examples."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054


def paired_difference_interval(num_lost: int, num_gained: int, num_examples: int) -> tuple[float, float]:
    """95 % interval of the change of a proportion when both were measured on the same examples.

    Only discordant pairs carry information: `num_lost` were right before and wrong after, `num_gained` the reverse.
    The adjusted Wald interval of Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", J. Educational and Behavioral Statistics 37 (2012) 479–488: it keeps close to
    its nominal level in small samples, where the plain interval collapses to zero width without discordant pairs.
    """
    total = num_examples + 2
    lost, gained = (num_lost + 1) / total, (num_gained + 1) / total
    difference = gained - lost
    half = Z_95 * math.sqrt(max(0.0, gained + lost - difference**2) / total)
    return max(-1.0, difference - half), min(1.0, difference + half)
