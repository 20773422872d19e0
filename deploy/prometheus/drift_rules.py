"""Does the traffic of a whole fleet still look like the reference? Recording rules that add up replicas, then judge.

The statistics are those of monitoring/drift.py, as far as PromQL goes: the likelihood-ratio statistic G over all bins
with Williams' correction, bins that are thin in both samples taken together. Of signals that spread a picture over
several bins, effective counts are taken. The limit is the χ² quantile by Wilson & Hilferty (1931), with the normal
quantile by Abramowitz & Stegun 26.2.23, corrected for the number of signals (Bonferroni). Fisher's test of every single
bin, which the server runs too, has no counterpart here.

Every recorded series carries `window`, so that a short and a long window stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy.prometheus.rule import Group, Recording

FLEET = ("namespace", "job")
"""Replicas that are added up share these: a trial installation in another namespace is another fleet."""
BIN = (*FLEET, "model", "version", "variant", "signal", "bin")
THIN = "thin bins together"
MIN_EXPECTED = 8
"""As monitoring.drift.MIN_EXPECTED."""
MIN_INFORMATIVE = 13
"""As monitoring.drift.MIN_INFORMATIVE."""
PSI_PRIOR = 0.5
"""As monitoring.drift.PSI_PRIOR."""
LN_2 = "0.6931471805599453"
"""PromQL takes logarithms of series alone."""
NOTHING = "1e-9"
"""Stands for 0 under a logarithm that is multiplied by 0."""


@dataclass(frozen=True)
class DriftWindow:
    """`alpha`: the chance of a false verdict on one model at one evaluation, over all its signals."""

    window: str
    interval: str
    alpha: float = 1e-5


def drift_group(chosen: DriftWindow) -> Group:
    """The rules of one window, in the order in which they build upon each other."""
    parts = (count_rules, effect_rules, joining_rules, limit_rules, distance_rules)
    rules = [rule for part in parts for rule in part(chosen)]
    return Group(f"tidegate-drift-{chosen.window}", chosen.interval, rules)


def record(chosen: DriftWindow, name: str, expression: str) -> Recording:
    """A recording rule of this window. In its expression `@name` stands for what another of them recorded."""
    parts = expression.split("@")
    for i, part in enumerate(parts[1:], 1):
        length = next((k for k, letter in enumerate(part) if not (letter.isalnum() or letter == "_")), len(part))
        parts[i] = f'tidegate:{part[:length]}{{window="{chosen.window}"}}{part[length:]}'
    return Recording(f"tidegate:{name}", "".join(parts), {"window": chosen.window})


def count_rules(chosen: DriftWindow) -> list[Recording]:
    """What came in, and the reference beside it: sums over replicas, which all have the same reference."""
    by = f"({', '.join(BIN)})"
    return [
        record(chosen, "signal_live", f"sum by {by} (increase(tidegate_signal_bin_total[{chosen.window}]))"),
        record(
            chosen,
            "signal_live_squares",
            f"sum by {by} (increase(tidegate_signal_bin_squares_total[{chosen.window}]))",
        ),
        record(chosen, "signal_reference", f"max by {by} (tidegate_signal_reference_pictures)"),
        record(chosen, "signal_reference_squares", f"max by {by} (tidegate_signal_reference_squares)"),
        record(chosen, "signal_pictures", "sum without (bin) (@signal_live and @signal_reference)"),
        record(chosen, "signal_reference_total", "sum without (bin) (@signal_reference)"),
        record(
            chosen,
            "signal_smaller",
            "@signal_reference_total < @signal_pictures or @signal_pictures",
        ),
    ]


def effect_rules(chosen: DriftWindow) -> list[Recording]:
    """How many votes the weights of a bin are worth: weights vary less than counts do (monitoring.drift tells how)."""
    effect = """
        (
          (@signal_live_squares + @signal_reference_squares)
            / ignoring (bin) group_left () (@signal_pictures + @signal_reference_total)
          - @signal_pooled_share ^ 2
        )
        / (@signal_pooled_share * (1 - @signal_pooled_share))
    """
    kept = """
        clamp_max(
          @signal_raw_effect > ignoring (bin) group_left () @signal_least_effect
          or @signal_raw_effect * 0 + ignoring (bin) group_left () @signal_least_effect,
          1
        )
        or @signal_pooled * 0 + 1
    """
    return [
        record(chosen, "signal_pooled", "@signal_live + @signal_reference"),
        record(
            chosen,
            "signal_pooled_share",
            "@signal_pooled / ignoring (bin) group_left () (@signal_pictures + @signal_reference_total)",
        ),
        record(chosen, "signal_least_effect", f"{MIN_INFORMATIVE} / @signal_smaller"),
        record(chosen, "signal_raw_effect", effect),
        record(chosen, "signal_bin_effect", kept),
    ]


def joining_rules(chosen: DriftWindow) -> list[Recording]:
    """Bins of which either sample must be expected to hold a few, were they alike; the thin ones together are one, and
    are left out where even they are but a handful of pictures: the correction for them would weaken all else.

    Who is thin follows from the sum of both samples, on which the test is conditional: looking is allowed. Counts are
    effective ones from here on, divided by the largest design effect of a bin that is not thin."""
    expected = """
        @signal_pooled / @signal_bin_effect
          * ignoring (bin) group_left () (@signal_smaller / (@signal_pictures + @signal_reference_total))
    """

    def joined(counts: str) -> str:
        return f"""
            (
              ({counts} and @signal_bin_expected >= {MIN_EXPECTED})
              or
              label_replace(
                sum without (bin) ({counts} and @signal_bin_expected < {MIN_EXPECTED})
                and sum without (bin) (
                  @signal_pooled / @signal_bin_effect and @signal_bin_expected < {MIN_EXPECTED}
                ) >= {MIN_EXPECTED},
                "bin", "{THIN}", "", ""
              )
            )
            / ignoring (bin) group_left () @signal_design_effect
        """

    return [
        record(chosen, "signal_bin_expected", expected),
        record(
            chosen,
            "signal_design_effect",
            f"max without (bin) (@signal_bin_effect and @signal_bin_expected >= {MIN_EXPECTED})",
        ),
        record(chosen, "signal_joined_live", joined("@signal_live")),
        record(chosen, "signal_joined_reference", joined("@signal_reference")),
        record(chosen, "signal_bins", "count without (bin) (@signal_joined_reference) > 1"),
        record(chosen, "signal_n", "sum without (bin) (@signal_joined_reference) and @signal_bins"),
        record(chosen, "signal_m", "sum without (bin) (@signal_joined_live) and @signal_bins"),
        record(chosen, "signal_share", "@signal_joined_live / ignoring (bin) group_left () @signal_m"),
        record(chosen, "signal_reference_share", "@signal_joined_reference / ignoring (bin) group_left () @signal_n"),
    ]


def limit_rules(chosen: DriftWindow) -> list[Recording]:
    """How far chance alone takes two samples of these sizes: what G stays below, and the scale of PSI and distance."""
    normal_limit = """
        @drift_tail - (2.515517 + 0.802853 * @drift_tail + 0.010328 * @drift_tail ^ 2)
          / (1 + 1.432788 * @drift_tail + 0.189269 * @drift_tail ^ 2 + 0.001308 * @drift_tail ^ 3)
    """
    chi2_limit = """
        (@signal_bins - 1) * (
          1 - 2 / (9 * (@signal_bins - 1))
          + sqrt(2 / (9 * (@signal_bins - 1))) * ignoring (signal) group_left () @drift_normal_limit
        ) ^ 3
    """
    return [
        record(chosen, "drift_tail", f"sqrt(-2 * ln({chosen.alpha:g} / count without (signal) (@signal_bins)))"),
        record(chosen, "drift_normal_limit", normal_limit),
        record(chosen, "signal_chi2_limit", chi2_limit),
        record(chosen, "signal_chance", "1 / @signal_n + 1 / @signal_m"),
    ]


def distance_rules(chosen: DriftWindow) -> list[Recording]:
    """How far, and whether chance goes so far: `signal_surprise` above 1 is drift."""
    psi_shares = [
        f"(({counts} + {PSI_PRIOR}) / ignoring (bin) group_left () ({total} + {PSI_PRIOR} * @signal_bins))"
        for counts, total in (("@signal_joined_live", "@signal_m"), ("@signal_joined_reference", "@signal_n"))
    ]
    psi = f"""
        sum without (bin) (
          ({psi_shares[0]} - {psi_shares[1]})
          * ln({psi_shares[0]} / {psi_shares[1]})
        )
    """
    middle = "(@signal_share + @signal_reference_share)"
    terms = [
        f"{share} * ln(clamp_min(2 * {share}, {NOTHING}) / {middle})"
        for share in ("@signal_share", "@signal_reference_share")
    ]
    distance = f"""
        sqrt(clamp(
          sum without (bin) (
            {terms[0]}
            + {terms[1]}
          ) / (2 * {LN_2}),
          0, 1
        ))
    """
    pooled = "(@signal_joined_live + @signal_joined_reference)"
    statistic = f"""
        2 * (
          sum without (bin) (
            @signal_joined_reference * ln(clamp_min(@signal_joined_reference, {NOTHING}) / {pooled})
            + @signal_joined_live * ln(clamp_min(@signal_joined_live, {NOTHING}) / {pooled})
          )
          + @signal_n * ln((@signal_n + @signal_m) / @signal_n)
          + @signal_m * ln((@signal_n + @signal_m) / @signal_m)
        )
    """
    correction = f"""
        1 + ((@signal_n + @signal_m) / @signal_n + (@signal_n + @signal_m) / @signal_m - 1)
          * ((@signal_n + @signal_m) * sum without (bin) (1 / {pooled}) - 1)
          / (6 * (@signal_n + @signal_m) * (@signal_bins - 1))
    """
    surprise = "@signal_g / @signal_g_correction / @signal_chi2_limit"
    return [
        record(chosen, "signal_psi", psi),
        record(chosen, "signal_psi_limit", "@signal_chance * @signal_chi2_limit"),
        record(chosen, "signal_distance", distance),
        record(
            chosen, "signal_distance_limit", f"sqrt(clamp_max(@signal_chance * @signal_chi2_limit / (8 * {LN_2}), 1))"
        ),
        record(chosen, "signal_g", statistic),
        record(chosen, "signal_g_correction", correction),
        record(chosen, "signal_surprise", surprise),
    ]
