"""What the page works out by itself, against what Python makes of the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.statistics import STAGE_BOUNDS_S, Histogram
from tasks.label_grid import plain_grid
from tasks.rle import decode_rle, encode_labels
from tests.e2e.console.page import ConsolePage, run_module

pytestmark = pytest.mark.e2e


def test_masks_are_unpacked_as_they_were_packed(console: ConsolePage) -> None:
    for seed, (height, width) in enumerate([(1, 1), (3, 5), (40, 70), (300, 500)]):
        labels = np.random.default_rng(seed).integers(0, 3, (height, width), np.uint8)
        for rle in encode_labels(plain_grid(labels)).values():
            packed = {"size": list(rle.size), "counts": rle.counts}
            body = "const found = []; m.eachPixel(argument, (x, y) => found.push([x, y])); return found;"
            region = np.zeros((height, width), bool)
            for x, y in run_module(console, "rle.js", body, packed):
                region[y, x] = True
            np.testing.assert_array_equal(region, decode_rle(rle))


def test_percentiles_lie_where_the_values_were(console: ConsolePage) -> None:
    histogram = Histogram(STAGE_BOUNDS_S)
    values = np.random.default_rng(0).lognormal(-3, 1, 5000)
    for value in values:
        histogram.observe(float(value))
    body = "return [0.5, 0.95, 0.99].map((share) => m.percentile(argument.counts, argument.bounds, share));"
    told = run_module(console, "histogram.js", body, {"counts": histogram.counts, "bounds": list(STAGE_BOUNDS_S)})
    for share, value in zip((0.5, 0.95, 0.99), told, strict=True):
        true = float(np.quantile(values, share))
        bucket = int(np.searchsorted(STAGE_BOUNDS_S, true))
        assert STAGE_BOUNDS_S[bucket - 1] <= value <= STAGE_BOUNDS_S[bucket]


def test_there_are_no_percentiles_of_nothing(console: ConsolePage) -> None:
    assert run_module(console, "histogram.js", "return m.percentile([0, 0], [1], 0.5);") is None
    assert run_module(console, "histogram.js", "return m.percentile([0, 3], [1], 0.5);") == 1


SERIES = """
const histogram = (count) => ({counts: [count, 0], total: 0});
const model = (version, answered) => ({version, answered, failed: 0, refused: 0, waiting: 0, in_flight: 0,
  generation: null,  total: histogram(answered), batch: {counts: [answered, 0], total: 2 * answered, bounds: [8]}});
const series = new m.LiveSeries();
for (const [instance, at, version, answered] of argument)
  series.add({instance, at, stage_bounds_s: [1], models: {colours: model(version, answered)}}, 1000 * at);
return (series.points.get('colours') || []).map((point) => [point.answered, point.batch, point.to - point.from]);
"""


def test_rates_come_of_differences_however_long_apart(console: ConsolePage) -> None:
    readings = [["a", 0, "1", 100], ["a", 2, "1", 110], ["a", 602, "1", 710]]
    assert run_module(console, "live_series.js", SERIES, readings) == [[5, 2, 2000], [1, 2, 600_000]]


def test_a_restart_a_swap_and_another_replica_are_no_negative_rates(console: ConsolePage) -> None:
    readings = [
        ["a", 0, "1", 100],
        ["b", 1, "1", 7],  # another process
        ["a", 2, "1", 104],
        ["b", 3, "1", 17],
        ["b", 5, "2", 0],  # a new version begins
        ["b", 7, "2", 6],
    ]
    told = run_module(console, "live_series.js", SERIES, readings)
    assert [rate for rate, _, _ in told] == [2, 5, 3]


def test_events_are_read_wherever_the_network_cuts_them(console: ConsolePage) -> None:
    events = [{"text": "Zürich"}, {"text": "日本"}, {"text": 'a "quoted"\nline'}]
    stream = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events) + "data: [DONE]\n\n"
    body = """
    const bytes = new TextEncoder().encode(argument.text), found = [];
    const pieces = new ReadableStream({start(c) {
      for (let at = 0; at < bytes.length; at += argument.size) c.enqueue(bytes.slice(at, at + argument.size));
      c.close(); }});
    for await (const value of m.eventValues(new Response(pieces))) found.push(value);
    return found;"""
    for size in (1, 2, 3, 7, 1000):
        assert run_module(console, "event_stream.js", body, {"text": stream, "size": size}) == events


def test_an_error_within_a_stream_is_raised_with_its_words(console: ConsolePage) -> None:
    body = """
    try { for await (const value of m.eventValues(new Response(argument))); } catch (error) { return error.message; }"""
    for told in ('{"error":"too late"}', '{"error":{"message":"too late"}}'):
        assert run_module(console, "event_stream.js", body, f"data: {told}\n\n") == "too late"


def test_of_very_many_bins_those_that_differ_are_shown(console: ConsolePage) -> None:
    reference = np.full(100, 0.01)
    live = reference.copy()
    live[[3, 50]] += [0.2, -0.005]
    signal = {
        "bins": [f"class {index}" for index in range(100)],
        "reference": reference.tolist(),
        "live": live.tolist(),
    }
    body = "return m.chosenBins(argument).map((bar) => [bar.name, bar.reference]);"
    told = run_module(console, "histogram_chart.js", body, signal)
    assert len(told) == 24
    assert {"class 3", "class 50"} <= {name for name, _ in told}
    assert told[-1][0] == "77 more"
    assert sum(share for _, share in told) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("bytes(889803)", "890 kB"),
        ("figure(0.10834)", "0.108"),
        ("figure(12345.6)", "12,346"),
        ("figure(-0.01164)", "−0.0116"),
        ("figure(-0.00000041)", "−4.1×10⁻⁷"),
        ("percent(0.967)", "96.7 %"),
        ("points(-0.0131)", "−1.3"),
        ("points(0.0001)", "±0.0"),
        ("chance(0.0312)", "0.031"),
        ("chance(9.6e-7)", "1 × 10⁻⁶"),
        ("binName('-1.05596274 to -0.884928107')", "−1.06 to −0.885"),
        ("binName('below 0.999999')", "below 1"),
        ("binName('below 1.9074e-06')", "below 1.9×10⁻⁶"),
        ("binName('-0.00005631 to 0.001')", "−5.6×10⁻⁵ to 0.001"),
        ("binName('a cat to 3')", "a cat to 3"),
        ("binName('3')", "3"),
        ("milliseconds(NaN)", "–"),
    ],
)
def test_figures_are_as_people_read_them(console: ConsolePage, call: str, shown: str) -> None:
    assert run_module(console, "format.js", f"return m.{call};") == shown
