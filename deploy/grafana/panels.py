"""The kinds of panels that dashboards are made of, each with a unit and what its reader needs to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode
from grafana_foundation_sdk.models.units import NoUnit

from deploy.grafana.variables import PROMETHEUS

THIRD, HALF, WHOLE = 8, 12, 24
"""Of the 24 columns of a dashboard."""
LINES_HIGH, NUMBER_HIGH = 8, 4
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
READY = {"0": ("not ready", RED), "1": ("ready", GREEN)}
"""Names for `states` of what is 0 or 1."""
REF_IDS = "ABCDEFGHIJKLMNOP"


class Query(NamedTuple):
    """`legend`: what a line is called; labels as {{model}}. `exemplars`: with dots that lead to traces of requests,
    where servers trace some and Prometheus keeps which."""

    expression: str
    legend: str
    exemplars: bool = False


def lines(title: str, unit: str, *queries: Query, limits: Sequence[float] = ()) -> timeseries.Panel:
    """Over time. `limits`: dashed lines, in the unit: where an alert begins."""
    steps = [Threshold(None, GREEN), *(Threshold(limit, RED) for limit in limits)]
    style = GraphThresholdsStyleMode.DASHED if limits else GraphThresholdsStyleMode.OFF
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(THIRD)
        .height(LINES_HIGH)
        .fill_opacity(8)
        .line_width(1)
        .show_points(VisibilityMode.AUTO)
        .axis_soft_min(0)
        .thresholds(thresholds(steps))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for ref_id, query in zip(REF_IDS, queries, strict=False):
        panel = panel.with_target(target(ref_id, query).range())
    return panel


def stacked(title: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Parts of a whole over time."""
    return lines(title, unit, *queries).fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def events(title: str, unit: str, *queries: Query) -> timeseries.Panel:
    """What happens now and then: a bar for each interval in which it did."""
    return stacked(title, unit, *queries).draw_style(GraphDrawStyle.BARS).fill_opacity(80)


def number(title: str, unit: str, expression: str, steps: Mapping[float, str]) -> stat.Panel:
    """One number of this moment. `steps`: from which value on it has another colour than green."""
    return (
        stat.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(4)
        .height(NUMBER_HIGH)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds([Threshold(None, GREEN), *(Threshold(at, colour) for at, colour in steps.items())]))
        .with_target(target("A", Query(expression, "")).range())
    )


def bars(title: str, unit: str, *queries: Query) -> bargauge.Panel:
    """One bar for each of many: classes, outcomes. The numbers are of all of the time that is shown."""
    panel = (
        bargauge.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(THIRD)
        .height(LINES_HIGH)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds([Threshold(None, BLUE)]))
        .min(0)
    )
    for ref_id, query in zip(REF_IDS, queries, strict=False):
        panel = panel.with_target(target(ref_id, query).instant())
    return panel


def states(title: str, names: Mapping[str, tuple[str, str]], *queries: Query) -> statetimeline.Panel:
    """What was the case when. `names`: value → (text, colour)."""
    options = {
        value: ValueMappingResult(text=says, color=colour, index=index)
        for index, (value, (says, colour)) in enumerate(names.items())
    }
    panel = (
        statetimeline.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .unit(NoUnit)
        .span(THIRD)
        .height(LINES_HIGH)
        .show_value(VisibilityMode.NEVER)
        .mappings([ValueMap(options)])
        .thresholds(thresholds([Threshold(None, BLUE)]))
    )
    for ref_id, query in zip(REF_IDS, queries, strict=False):
        panel = panel.with_target(target(ref_id, query).range())
    return panel


def heat(title: str, unit: str, buckets: str) -> heatmap.Panel:
    """A histogram over time. `buckets`: its rate by `le`."""
    return (
        heatmap.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(THIRD)
        .height(LINES_HIGH)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .with_target(target("A", Query(buckets, "{{le}}")).format(PromQueryFormat.HEATMAP).range())
    )


def rows(title: str, unit: str, expressions: Mapping[str, str], columns: Mapping[str, str]) -> table.Panel:
    """A table of this moment. `expressions`: name of a column of numbers → what fills it, "" for one that says
    nothing but that the row is there; `columns`: label → name of its column, in order. Other labels are left out."""
    panel = table.Panel().title(title).datasource(PROMETHEUS).unit(unit).span(WHOLE).height(LINES_HIGH)
    for ref_id, expression in zip(REF_IDS, expressions.values(), strict=False):
        panel = panel.with_target(target(ref_id, Query(expression, "")).format(PromQueryFormat.TABLE).instant())
    numbers = {
        "Value" if len(expressions) == 1 else f"Value #{ref_id}": name
        for ref_id, name in zip(REF_IDS, expressions, strict=False)
    }
    shown = {**columns, **{field: name for field, name in numbers.items() if name}}
    return (
        panel.with_transformation(transformation("merge", {}))
        .with_transformation(transformation("filterFieldsByName", {"include": {"names": list(shown)}}))
        .with_transformation(
            transformation(
                "organize",
                {
                    "excludeByName": {},
                    "indexByName": {field: index for index, field in enumerate(shown)},
                    "renameByName": shown,
                },
            )
        )
    )


def prose(markdown: str) -> text.Panel:
    """Where there is nothing to measure and something to say."""
    return text.Panel().title("").span(WHOLE).height(NUMBER_HIGH).mode(TextMode.MARKDOWN).content(markdown)


def target(ref_id: str, query: Query) -> Dataquery:
    return (
        Dataquery()
        .ref_id(ref_id)
        .datasource(PROMETHEUS)
        .expr(query.expression)
        .legend_format(query.legend or "__auto")
        .exemplar(query.exemplars)
    )


def thresholds(steps: list[Threshold]) -> ThresholdsConfig:
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def transformation(name: str, options: dict[str, Any]) -> DataTransformerConfig:
    """By the name and the options that Grafana has for it."""
    return DataTransformerConfig(id_val=name, options=options)
