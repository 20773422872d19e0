"""Are callers answered, how fast, and what is in the way if not?"""

from __future__ import annotations

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, RequestsPerSecond
from grafana_foundation_sdk.models.units import Seconds as SecondsUnit

from deploy.grafana import variables
from deploy.grafana.board import Board, Section
from deploy.grafana.panels import GREEN, HALF, ORANGE, RED, Query, lines, number, stacked, states
from deploy.grafana.runbook import explained
from deploy.grafana.selection import (
    FLEET,
    MODEL,
    REPLICA,
    VERSION,
    or_zero,
    quantile,
    rate,
    series,
    share,
    summed,
)
from deploy.grafana.serving_work import TOTAL, batches, latency, processes, queues
from deploy.prometheus.alert_rules import P99_LIMIT_S, REFUSED_SHARE
from deploy.prometheus.fault_rules import BURNS, FAULT_BUDGET, FAULTS

REQUESTS = series("requests_total", VERSION)
READABLE = {"0": ("bad", RED), "1": ("good", GREEN)}
FAULTY = series("requests_total", VERSION, f'code=~"{FAULTS}"')


def serving_board() -> Board:
    return Board(
        name="serving",
        title="Serving",
        says="For whoever is on call: traffic, faults, latency by stage, queues, batches, and the processes.",
        variables=[*variables.fleet(), variables.replica(), variables.model(), variables.version()],
        sections=[now(), traffic(), turned_away(), latency(), queues(), batches(), processes()],
    )


def now() -> Section:
    up = f'up{{{FLEET}, instance=~"$instance"}}'
    unserved = f"count(max by (namespace, job, model) ({series('model_ready', MODEL)}) == 0)"
    firing = 'count(ALERTS{alertname=~"Tidegate.+", alertstate="firing"})'
    return Section(
        "Now",
        [
            explained(
                number("Alerts that fire", NoUnit, or_zero(firing), {1: RED}),
                "All of them, whatever is chosen above.",
            ),
            explained(
                number("Replicas that do not answer", NoUnit, f"count({up}) - sum({up})", {1: RED}),
                "Of those that Prometheus knows of.",
                "TidegateReplicaDown",
                "TidegateDown",
            ),
            explained(
                number("Models that nobody answers for", NoUnit, or_zero(unserved), {1: RED}),
                "Configured, and ready on no replica.",
                "TidegateModelNotReady",
                "TidegateModelNotReadySomewhere",
            ),
            number("Requests", RequestsPerSecond, f"sum({rate(REQUESTS)})", {}),
            explained(
                number(
                    "Faults of the server",
                    PercentUnit,
                    or_zero(f"sum({rate(FAULTY)}) / (sum({rate(REQUESTS)}) > 0)"),
                    {FAULT_BUDGET: ORANGE, BURNS[0].factor * FAULT_BUDGET: RED},
                ),
                "Share of the requests; what was asked wrongly or refused under load does not count.",
                "TidegateFaults",
            ),
            explained(
                number(
                    "99th percentile",
                    SecondsUnit,
                    quantile(0.99, "", "stage_seconds", VERSION, TOTAL),
                    {P99_LIMIT_S / 2: ORANGE, P99_LIMIT_S: RED},
                ),
                "From a request's arrival to its answer, all chosen models together.",
                "TidegateSlow",
            ),
        ],
    )


def traffic() -> Section:
    burning = f'tidegate:fault_ratio{{{FLEET}, model=~"$model", window=~"5m|1h|6h|3d"}} / {FAULT_BUDGET:g}'
    return Section(
        "Traffic",
        [
            stacked(
                "Requests by code",
                RequestsPerSecond,
                Query(summed("protocol, code", rate(REQUESTS)), "{{protocol}} {{code}}"),
            ),
            stacked("Requests by model", RequestsPerSecond, Query(summed("model", rate(REQUESTS)), "{{model}}")),
            stacked(
                "Requests by replica", RequestsPerSecond, Query(summed("instance", rate(REQUESTS)), "{{instance}}")
            ),
            explained(
                lines(
                    "Faults of the server",
                    PercentUnit,
                    Query(share("model", FAULTY, REQUESTS), "{{model}}"),
                    limits=[BURNS[0].factor * FAULT_BUDGET],
                ).span(HALF),
                "Share of the requests to each model. An empty name stands for requests that reached none.",
                "TidegateFaults",
            ),
            explained(
                lines(
                    "How fast the error budget goes",
                    NoUnit,
                    Query(burning, "{{model}} over {{window}}"),
                    limits=[burn.factor for burn in BURNS],
                ).span(HALF),
                f"1 spends the budget of {FAULT_BUDGET:.1%} in thirty days. Of the whole fleet, as rules record it.",
                "TidegateFaults",
            ),
        ],
    )


def turned_away() -> Section:
    return Section("Not answered", [*for_want_of_room(), *for_want_of_a_key()])


def for_want_of_room() -> list[Builder[Panel]]:
    refused, rows = series("items_refused_total", VERSION), series("batch_rows_total", VERSION)
    refused_share = (
        f"{summed('model', rate(refused))} / ({summed('model', rate(refused))} + {summed('model', rate(rows))})"
    )
    left = [
        Query(summed("model", rate(series(f"items_{what}_total", VERSION))), f"{{{{model}}}} {what}")
        for what in ("cancelled", "expired")
    ]
    return [
        explained(
            lines("Refused: the queue was full", RequestsPerSecond, Query(summed("model", rate(refused)), "{{model}}")),
            "Pictures and prompts whose callers were told to come back (429, RESOURCE_EXHAUSTED).",
            "TidegateRefusing",
        ),
        explained(
            lines("Share that is refused", PercentUnit, Query(refused_share, "{{model}}"), limits=[REFUSED_SHARE]),
            "Of what was refused or computed.",
            "TidegateRefusing",
        ),
        explained(
            lines("Cancelled and expired", RequestsPerSecond, *left),
            "Cancelled: the caller left before it was computed. Expired: the caller's deadline passed.",
        ),
    ]


def for_want_of_a_key() -> list[Builder[Panel]]:
    good = [
        Query(series(f"{what}_ok", REPLICA), f"{says}, {{{{instance}}}}")
        for what, says in (("key_file", "key file"), ("certificate", "certificate"))
    ]
    return [
        explained(
            stacked(
                "Turned away for want of a key",
                RequestsPerSecond,
                Query(summed("reason", rate(series("access_refused_total", REPLICA))), "{{reason}}"),
            ),
            "missing, unknown: no key, or none of ours. role: the call needs an administrator. rate: too often. "
            "crowd, silent, long: calls over gRPC that need no key, too many at once, without a message or with one "
            "that is too long.",
        ),
        explained(
            stacked(
                "Requests by key",
                RequestsPerSecond,
                Query(summed("key, outcome", rate(series("key_requests_total", REPLICA))), "{{key}} {{outcome}}"),
            ).no_value("No keys: access is off"),
            "By the key's name in the key file, and what became of the request.",
        ),
        explained(
            states("Key file and certificate", READABLE, *good),
            "A bad new one is not taken: what was read before stays in force.",
            "TidegateKeyFileBad",
            "TidegateCertificateBad",
            "TidegateCertificateEnding",
            "TidegateCertificateEnds",
        ),
    ]
