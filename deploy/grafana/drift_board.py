"""Does the traffic of the fleet still look like what a model was trained on, and where does it not?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import barchart, common
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, RequestsPerSecond, Short

from deploy.grafana import variables
from deploy.grafana.board import Board, Section
from deploy.grafana.panels import (
    GREEN,
    HALF,
    LINES_HIGH,
    ORANGE,
    RED,
    REF_IDS,
    WHOLE,
    Query,
    lines,
    number,
    rows,
    stacked,
    states,
    target,
    transformation,
)
from deploy.grafana.runbook import explained
from deploy.grafana.selection import FLEET, WINDOW, or_zero, rate, recorded, series, summed
from deploy.grafana.variables import PROMETHEUS, Variable, chosen, several
from deploy.prometheus.drift_alerts import NOTICEABLE, STRONG

ALERTS = ("TidegateDrift", "TidegateStrongDrift")
OF_VERSION = f'{FLEET}, model="$model", version="$version"'
DRIFTED = {"0": ("steady or collecting", GREEN), "1": ("drift", RED)}
NUMBER = r"(?:from )?(-?[0-9.]+(?:e[+-]?[0-9]+)?)(?: to .*)?"
"""Where a bin begins, as monitoring.profile names it; classes that are numbers too."""


def drift_board() -> Board:
    return Board(
        name="drift",
        title="Drift",
        says="Signals of live traffic beside the reference of the package: added up over the fleet by recording rules, "
        "judged by how far chance goes at such numbers of pictures; and what each replica says by itself.",
        variables=[*variables.fleet(), *choices()],
        sections=[now(), over_time(), bins(), replicas()],
    )


def choices() -> list[Variable]:
    """One model, version and variant, for no two have the same bins; one window of the rules; signals."""
    judged = "tidegate:signal_pictures"
    return [
        chosen("model", "Model", f"{judged}{{{FLEET}}}", "model"),
        chosen("version", "Version", f'{judged}{{{FLEET}, model="$model"}}', "version"),
        chosen("variant", "Variant", f"{judged}{{{OF_VERSION}}}", "variant"),
        chosen("window", "Window", f"{judged}{{{FLEET}}}", "window"),
        several("signal", "Signal", f"{judged}{{{OF_VERSION}, {WINDOW}}}", "signal"),
    ]


def now() -> Section:
    beyond = f"count({recorded('signal_surprise')} > 1)"
    columns = {
        "Surprise": "signal_surprise",
        "Distance": "signal_distance",
        "Chance goes to": "signal_distance_limit",
        "PSI": "signal_psi",
        "PSI by chance": "signal_psi_limit",
        "Pictures or prompts": "signal_pictures",
    }
    by_signal = {name: summed("signal", recorded(metric)) for name, metric in columns.items()}
    return Section(
        "Now",
        [
            explained(
                number("Signals that drifted", NoUnit, or_zero(beyond), {1: ORANGE}).span(6).height(LINES_HIGH),
                "More surprising than chance explains, corrected for the number of signals. Whether it matters is "
                "the distance's to say.",
                *ALERTS,
            ),
            explained(
                number(
                    "Largest distance", NoUnit, f"max({recorded('signal_distance')})", {NOTICEABLE: ORANGE, STRONG: RED}
                )
                .span(6)
                .height(LINES_HIGH),
                "Jensen–Shannon distance to the reference, 0 (same) to 1 (disjoint), whatever the number of pictures.",
                *ALERTS,
            ),
            explained(
                number("Pictures or prompts", Short, f"max({recorded('signal_pictures')})", {})
                .span(6)
                .height(LINES_HIGH),
                "In the window. Few prove little, and then chance goes far.",
            ),
            explained(
                number("Firing for this model", NoUnit, or_zero(firing()), {1: RED}).span(6).height(LINES_HIGH),
                "",
                *ALERTS,
            ),
            explained(
                rows("Signals", NoUnit, by_signal, {"signal": "Signal"}).decimals(3),
                "Surprise above 1 is drift. Distance and PSI beyond what chance goes to say how far.",
                *ALERTS,
            ),
        ],
    )


def firing() -> str:
    """Alerts of drift, which carry the labels of the rules."""
    return f'count(ALERTS{{alertname=~"{"|".join(ALERTS)}", alertstate="firing", {OF_VERSION}}})'


def over_time() -> Section:
    signals = 'signal=~"$signal"'
    measures = [
        ("Surprise", "signal_surprise", [1.0], "Above 1 chance does not explain it."),
        (
            "Distance",
            "signal_distance",
            [NOTICEABLE, STRONG],
            "Alerts begin at the lines, if chance does not explain it.",
        ),
    ]
    psi = [
        Query(recorded("signal_psi", signals), "{{signal}}"),
        Query(recorded("signal_psi_limit", signals), "{{signal}}: by chance"),
    ]
    return Section(
        "Over time",
        [
            *(
                explained(
                    lines(title, NoUnit, Query(recorded(metric, signals), "{{signal}}"), limits=limits), says, *ALERTS
                )
                for title, metric, limits, says in measures
            ),
            explained(
                lines("PSI", NoUnit, *psi), "For those who are used to it, with what chance alone takes it to.", *ALERTS
            ),
        ],
    )


def bins() -> Section:
    """A panel for each signal."""
    parts = {"Live": ("signal_live", "signal_pictures"), "Reference": ("signal_reference", "signal_reference_total")}
    panel = (
        barchart.Panel()
        .title("$signal")
        .datasource(PROMETHEUS)
        .unit(PercentUnit)
        .span(WHOLE)
        .height(LINES_HIGH)
        .repeat("signal")
        .repeat_direction("h")
        .max_per_row(3)
        .x_field("bin")
        .x_tick_label_rotation(-45)
        .x_tick_label_max_length(16)
        .fill_opacity(60)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for ref_id, (counts, total) in zip(REF_IDS, parts.values(), strict=False):
        panel = panel.with_target(
            target(ref_id, Query(in_order(share_of_bins(counts, total)), "")).format(PromQueryFormat.TABLE).instant()
        )
    named = {f"Value #{ref_id}": name for ref_id, name in zip(REF_IDS, parts, strict=False)}
    shown = {"bin": "bin", **named}
    for name, options in (
        ("merge", {}),
        ("convertFieldType", {"fields": {}, "conversions": [{"targetField": "begin", "destinationType": "number"}]}),
        ("sortBy", {"fields": {}, "sort": [{"field": "begin"}]}),
        ("filterFieldsByName", {"include": {"names": list(shown)}}),
        ("organize", {"excludeByName": {}, "indexByName": {}, "renameByName": named}),
    ):
        panel = panel.with_transformation(transformation(name, options))
    return Section(
        "Live beside reference",
        [explained(panel, "Share of the pictures or prompts in each bin of the reference profile.", *ALERTS)],
    )


def share_of_bins(counts: str, total: str) -> str:
    signal = 'signal="$signal"'
    return f"{summed('bin', recorded(counts, signal))} / on () group_left () sum({recorded(total, signal)})"


def in_order(by_bin: str) -> str:
    """With a label `begin` by which the bins are sorted: Prometheus knows no order of names."""
    last = f'label_replace({by_bin}, "begin", "1e300", "bin", ".*")'
    numbered = f'label_replace({last}, "begin", "$1", "bin", "{NUMBER}")'
    return f'label_replace({numbered}, "begin", "-1e300", "bin", "below .*")'


def replicas() -> Section:
    watched = summed("outcome", rate(series("drift_pictures_total", OF_VERSION)))
    return Section(
        "What each replica says by itself, of its own sliding window",
        [
            explained(
                states("Verdict", DRIFTED, Query(series("drift_detected", OF_VERSION), "{{instance}}")),
                "A replica sees its own traffic alone, and later than the fleet.",
            ),
            lines(
                "Largest distance, by replica",
                NoUnit,
                Query(f"max by (instance) ({series('drift_distance', OF_VERSION)})", "{{instance}}"),
            ).no_value("Fewer pictures than a verdict takes"),
            explained(
                lines(
                    "Smallest chance of such a window without drift",
                    PercentUnit,
                    Query(f"min by (instance) ({series('drift_p_value', OF_VERSION)})", "{{instance}}"),
                ).no_value("Fewer pictures than a verdict takes"),
                "Corrected for the number of signals.",
            ),
            lines(
                "In the sliding window", Short, Query(series("drift_window_pictures", OF_VERSION), "{{instance}}")
            ).span(HALF),
            explained(
                stacked("Watched", RequestsPerSecond, Query(watched, "{{outcome}}")).span(HALF),
                "observed: counted. dropped: there was no time for it. failed: its signals could not be computed.",
                "TidegateDriftUnwatched",
            ),
        ],
    )
