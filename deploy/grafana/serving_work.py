"""The part of the dashboard of serving that says what requests wait for, and what the processes need."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import BytesIEC, DurationSeconds, NoUnit, PercentUnit
from grafana_foundation_sdk.models.units import Seconds as SecondsUnit

from deploy.grafana.board import Section
from deploy.grafana.panels import HALF, Query, events, heat, lines, stacked
from deploy.grafana.runbook import explained
from deploy.grafana.selection import REPLICA, VERSION, mean, quantile, rate, series, summed
from deploy.prometheus.alert_rules import P99_LIMIT_S, WAITING_LIMIT

TOTAL = 'stage="total"'
LEVELS = (0.5, 0.95, 0.99)


def latency() -> Section:
    by_level = [
        Query(quantile(level, "", "stage_seconds", VERSION, TOTAL), f"p{level * 100:g}", exemplars=level == LEVELS[-1])
        for level in LEVELS
    ]
    by_model = quantile(0.99, "model", "stage_seconds", VERSION, TOTAL)
    buckets = summed("le", rate(series("stage_seconds_bucket", VERSION, TOTAL)))
    stages = [
        lines(
            f"{level * 100:g}th percentile by stage",
            SecondsUnit,
            Query(quantile(level, "stage", "stage_seconds", VERSION), "{{stage}}"),
        )
        for level in LEVELS
    ]
    return Section(
        "Latency",
        [
            explained(
                lines("From arrival to answer", SecondsUnit, *by_level, limits=[P99_LIMIT_S]),
                "All chosen models together. Dots lead to requests that were traced, where servers trace a share of "
                "them and Prometheus keeps exemplars.",
                "TidegateSlow",
            ),
            explained(
                lines("99th percentile by model", SecondsUnit, Query(by_model, "{{model}}"), limits=[P99_LIMIT_S]),
                "Models that generate have limits of their own: see the dashboard of generation.",
                "TidegateSlow",
            ),
            heat("From arrival to answer, distribution", SecondsUnit, buckets),
            *(
                explained(
                    panel,
                    "decode: bytes to tensor. queue: until a batch began. compute: the graph. encode: the text of the "
                    "answer. total: from arrival to answer.",
                )
                for panel in stages
            ),
        ],
    )


def queues() -> Section:
    return Section(
        "Queues",
        [
            explained(
                lines(
                    "Waiting, by model",
                    NoUnit,
                    Query(f"avg by (model) ({series('queue_depth', VERSION)})", "{{model}}"),
                    limits=[WAITING_LIMIT],
                ),
                "The mean over replicas.",
                "TidegateQueueLong",
            ),
            explained(
                lines(
                    "Waiting, by replica",
                    NoUnit,
                    Query(summed("instance", series("queue_depth", VERSION)), "{{instance}}"),
                ),
                "Replicas that differ much are not given work evenly.",
                "TidegateQueueLong",
            ),
            stacked(
                "In flight, by model",
                NoUnit,
                Query(summed("model", series("in_flight_requests", VERSION)), "{{model}}"),
            ),
        ],
    )


def batches() -> Section:
    rows, padding = series("batch_rows_total", VERSION), series("batch_padding_total", VERSION)
    wasted = f"{summed('model', rate(padding))} / ({summed('model', rate(padding))} + {summed('model', rate(rows))})"
    return Section(
        "Batches",
        [
            lines("Mean size", NoUnit, Query(mean("model", "batch_size", VERSION), "{{model}}")),
            heat("Sizes", NoUnit, summed("le", rate(series("batch_size_bucket", VERSION)))),
            explained(
                lines("Share of rows that only fill a batch", PercentUnit, Query(wasted, "{{model}}")),
                "Graphs are warmed for certain sizes; what is missing to the next one is computed for nothing.",
            ),
        ],
    )


def processes() -> Section:
    started = f"process_start_time_seconds{{{REPLICA}}}"
    return Section(
        "Processes",
        [
            lines("Cores in use", NoUnit, Query(rate(f"process_cpu_seconds_total{{{REPLICA}}}"), "{{instance}}")),
            lines("Resident memory", BytesIEC, Query(f"process_resident_memory_bytes{{{REPLICA}}}", "{{instance}}")),
            lines("Open files and sockets", NoUnit, Query(f"process_open_fds{{{REPLICA}}}", "{{instance}}")),
            lines("Up for", DurationSeconds, Query(f"time() - {started}", "{{instance}}")).span(HALF),
            explained(
                events("Restarts", NoUnit, Query(f"changes({started}[$__rate_interval])", "{{instance}}")).span(HALF),
                "",
                "TidegateReplicaDown",
            ),
        ],
    )
