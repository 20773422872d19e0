"""The part of the dashboard of models that says how a challenger does beside the champion."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, RequestsPerSecond
from grafana_foundation_sdk.models.units import Seconds as SecondsUnit

from deploy.grafana.board import Section
from deploy.grafana.panels import HALF, READY, Query, heat, lines, stacked, states
from deploy.grafana.runbook import explained
from deploy.grafana.selection import MODEL, growth, mean, quantile, rate, series, share, summed

NO_CHALLENGER = "No challenger"
PAIR = "{{model}} {{challenger}} beside {{champion}}"


def canary() -> Section:
    """Requests that the challenger answers."""
    meant = series("canary_requests_total", MODEL)
    return Section(
        "Canary: requests that the challenger answers",
        [
            states(
                "Challengers", READY, Query(series("challenger_ready", MODEL), "{{model}} {{version}} {{instance}}")
            ).no_value(NO_CHALLENGER),
            explained(
                stacked(
                    "Requests meant for it",
                    RequestsPerSecond,
                    Query(summed("model, version, outcome", rate(meant)), "{{model}} {{version}} {{outcome}}"),
                ).no_value(NO_CHALLENGER),
                "unavailable, failed: the champion answered, for the challenger was not there, or could not. expired: "
                "nobody did in the time that the caller gave.",
            ),
            lines(
                "Share of the traffic",
                PercentUnit,
                Query(share("model", meant, series("requests_total", MODEL)), "{{model}}"),
            ).no_value(NO_CHALLENGER),
        ],
    )


def shadow() -> Section:
    """Requests that the challenger is asked too, only to compare."""
    pair = "model, champion, challenger"
    seconds = [
        Query(
            quantile(level, "model, answered_by", "shadow_seconds", MODEL),
            f"{{{{model}}}} {{{{answered_by}}}} p{level * 100:g}",
        )
        for level in (0.5, 0.99)
    ]
    copies = summed(f"{pair}, outcome", rate(series("shadow_copies_total", MODEL)))
    failures = summed("model", growth(series("challenger_load_failures_total", MODEL)))
    none = f"0 * {summed('model', series('challenger_ready', MODEL))}"
    return Section(
        "Shadow: requests that it is asked too, only to compare",
        [
            explained(
                lines("Agreement, mean", PercentUnit, Query(mean(pair, "shadow_agreement", MODEL), PAIR))
                .max(1)
                .no_value(NO_CHALLENGER),
                "1: both say the same. What agreement is depends on the task: the class, overlap of boxes and masks, "
                "the text.",
            ),
            heat(
                "Agreement, distribution", PercentUnit, summed("le", rate(series("shadow_agreement_bucket", MODEL)))
            ).no_value(NO_CHALLENGER),
            explained(
                lines("Time that both take for the same", SecondsUnit, *seconds).no_value(NO_CHALLENGER),
                "Copies wait for nobody, and are asked when the challenger has time.",
            ),
            explained(
                stacked("Copies", RequestsPerSecond, Query(copies, "{{model}} {{challenger}} {{outcome}}"))
                .span(HALF)
                .no_value(NO_CHALLENGER),
                "dropped: there was no time for it. failed: the challenger could not answer what the champion did. "
                "incomparable: two answers that say nothing about the versions.",
            ),
            lines(
                "Challengers that could not be loaded, in the time shown",
                NoUnit,
                Query(f"{failures} or {none}", "{{model}}"),
            )
            .span(HALF)
            .no_value(NO_CHALLENGER),
        ],
    )
