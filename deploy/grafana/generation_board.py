"""What somebody who reads along notices of models that answer token by token, and how full their slots are."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import CountsPerSecond, NoUnit, PercentUnit, RequestsPerSecond
from grafana_foundation_sdk.models.units import Seconds as SecondsUnit

from deploy.grafana import variables
from deploy.grafana.board import Board, Section
from deploy.grafana.panels import HALF, ORANGE, RED, Query, lines, number, stacked
from deploy.grafana.runbook import explained
from deploy.grafana.selection import VERSION, quantile, rate, series, share, summed
from deploy.prometheus.alert_rules import FIRST_TOKEN_LIMIT_S, REFUSED_SHARE, WAITING_LIMIT

FIRST_TOKEN, TOKEN = "time_to_first_token_seconds", "time_per_output_token_seconds"
LEVELS = (0.5, 0.95, 0.99)
RUNNING, SLOTS, WAITING = (series(name, VERSION) for name in ("running_sequences", "slots", "waiting_sequences"))
WRITTEN = series("completion_tokens_total", VERSION)
HITS, LOOKUPS = (series(f"prefix_{what}_total", VERSION) for what in ("hits", "lookups"))
PROMPTED, REUSED = (series(f"prompt_tokens{what}_total", VERSION) for what in ("", "_reused"))


def generation_board() -> Board:
    return Board(
        name="generation",
        title="Generation",
        says="Models that answer token by token: time to the first token and between tokens, slots, throughput, and "
        "what the prefix cache spares.",
        variables=[*variables.fleet(), variables.replica(), variables.generating_model(), variables.version()],
        sections=[now(), noticed(), throughput(), slots(), decoder(), prefixes()],
    )


def now() -> Section:
    return Section(
        "Now",
        [
            explained(
                number(
                    "First token, p95",
                    SecondsUnit,
                    quantile(0.95, "", FIRST_TOKEN, VERSION),
                    {FIRST_TOKEN_LIMIT_S / 2: ORANGE, FIRST_TOKEN_LIMIT_S: RED},
                ),
                "From a request's arrival.",
                "TidegateSlow",
            ),
            number("Between tokens, p95", SecondsUnit, quantile(0.95, "", TOKEN, VERSION), {}),
            number("Tokens written", CountsPerSecond, f"sum({rate(WRITTEN)})", {}),
            number("Slots in use", PercentUnit, f"sum({RUNNING}) / sum({SLOTS})", {1: ORANGE}),
            explained(
                number("Waiting for a slot", NoUnit, f"sum({WAITING})", {1: ORANGE, WAITING_LIMIT: RED}),
                "",
                "TidegateQueueLong",
            ),
            number("Prompts found in the cache", PercentUnit, f"sum({rate(HITS)}) / sum({rate(LOOKUPS)})", {}),
        ],
    )


def noticed() -> Section:
    return Section(
        "What readers notice",
        [
            explained(
                lines("Time to the first token", SecondsUnit, *levels(FIRST_TOKEN), limits=[FIRST_TOKEN_LIMIT_S]).span(
                    HALF
                ),
                "Of beams: to the answer.",
                "TidegateSlow",
            ),
            lines("Time from one token to the next", SecondsUnit, *levels(TOKEN)).span(HALF),
            explained(
                lines("From arrival to a slot", SecondsUnit, *levels("generation_queue_seconds")).span(HALF),
                "The part of the time to the first token that more slots or replicas would spare.",
                "TidegateSlow",
                "TidegateQueueLong",
            ),
            lines("From arrival to the last token", SecondsUnit, *levels("generation_seconds")).span(HALF),
        ],
    )


def levels(histogram: str) -> list[Query]:
    return [Query(quantile(level, "model", histogram, VERSION), f"{{{{model}}}} p{level * 100:g}") for level in LEVELS]


def throughput() -> Section:
    finished, unanswered = series("answers_finished_total", VERSION), series("generation_unanswered_total", VERSION)
    refused = series("generation_unanswered_total", VERSION, 'outcome="refused"')
    refused_share = (
        f"sum by (model) ({rate(refused)}) / (sum by (model) ({rate(refused)}) + sum by (model) ({rate(finished)}))"
    )
    prompted = [
        Query(f"{summed('model', rate(PROMPTED))} - {summed('model', rate(REUSED))}", "{{model}} computed"),
        Query(summed("model", rate(REUSED)), "{{model}} from the cache"),
    ]
    return Section(
        "Throughput",
        [
            stacked("Tokens written", CountsPerSecond, Query(summed("model", rate(WRITTEN)), "{{model}}")).span(HALF),
            stacked("Tokens of prompts", CountsPerSecond, *prompted).span(HALF),
            explained(
                stacked(
                    "Answers by what ended them",
                    RequestsPerSecond,
                    Query(summed("model, reason", rate(finished)), "{{model}} {{reason}}"),
                ),
                "stop: the model or a stop text. length: the room that was asked for, or that there is.",
            ),
            explained(
                stacked(
                    "Requests without a whole answer",
                    RequestsPerSecond,
                    Query(summed("model, outcome", rate(unanswered)), "{{model}} {{outcome}}"),
                ),
                "refused: too many waited. cancelled: the caller left. expired: the deadline passed. failed: the "
                "server could not.",
                "TidegateRefusing",
            ),
            explained(
                lines("Share that is refused", PercentUnit, Query(refused_share, "{{model}}"), limits=[REFUSED_SHARE]),
                "",
                "TidegateRefusing",
            ),
        ],
    )


def slots() -> Section:
    return Section(
        "Slots",
        [
            explained(
                lines(
                    "Written at once",
                    NoUnit,
                    Query(summed("model", RUNNING), "{{model}}"),
                    Query(summed("model", SLOTS), "{{model}}: slots"),
                ),
                "A beam search takes several.",
            ),
            lines(
                "Slots in use, by replica",
                PercentUnit,
                Query(series("slot_occupancy", VERSION), "{{model}} {{instance}}"),
            ).max(1),
            explained(
                lines("Waiting for a slot", NoUnit, Query(summed("model", WAITING), "{{model}}")),
                "",
                "TidegateQueueLong",
                "TidegateRefusing",
            ),
        ],
    )


def decoder() -> Section:
    runs, seconds = (series(f"decoder_run{what}_total", VERSION) for what in ("s", "_seconds"))
    decoding = series("decoder_runs_total", VERSION, 'kind="decoding"')
    return Section(
        "Decoder",
        [
            explained(
                lines(
                    "Answers that share a run",
                    NoUnit,
                    Query(share("model", series("decoded_rows_total", VERSION), decoding), "{{model}}"),
                ),
                "The more share one, the cheaper is a token.",
            ),
            lines("Time of a run", SecondsUnit, Query(share("model, kind", seconds, runs), "{{model}} {{kind}}")),
            explained(
                stacked(
                    "Share of the time that it runs",
                    PercentUnit,
                    Query(f"avg by (model, kind) ({rate(seconds)})", "{{model}} {{kind}}"),
                ),
                "The mean over replicas. Prefill, the reading of prompts, keeps those from writing who have a slot.",
            ),
        ],
    )


def prefixes() -> Section:
    return Section(
        "Prefix cache",
        [
            explained(
                lines(
                    "Prompts of which a part was found", PercentUnit, Query(share("model", HITS, LOOKUPS), "{{model}}")
                )
                .max(1)
                .span(HALF),
                "In the slots of requests before.",
            ),
            lines(
                "Share of the tokens of prompts that it spared",
                PercentUnit,
                Query(share("model", REUSED, PROMPTED), "{{model}}"),
            )
            .max(1)
            .span(HALF),
        ],
    )
