"""What is served where, is it the same everywhere, and is it right?"""

from __future__ import annotations

from grafana_foundation_sdk.models.units import NoUnit

from deploy.grafana import variables
from deploy.grafana.board import Board, Section
from deploy.grafana.challenger_sections import canary, shadow
from deploy.grafana.panels import HALF, ORANGE, READY, RED, Query, events, lines, number, rows, stacked, states
from deploy.grafana.runbook import explained
from deploy.grafana.selection import MODEL, VERSION, or_zero, series, summed
from deploy.grafana.truth_sections import classes, objects_and_texts

SERVED = series("model_info", VERSION)
STAYED = 'state="READY", reason!=""'


def models_board() -> Board:
    return Board(
        name="models",
        title="Models",
        says="Which version, variant, precision and package is served where; what failed to load; how a challenger "
        "does; and how right the answers were, by class.",
        variables=[*variables.fleet(), variables.replica(), variables.model(), variables.version()],
        sections=[
            now(),
            served(),
            versions(),
            loading(),
            canary(),
            shadow(),
            classes(),
            objects_and_texts(),
        ],
    )


def now() -> Section:
    unready = f"count({series('model_ready', MODEL)} == 0)"
    model, info = "namespace, job, model", series("model_info", MODEL)
    replicas = f"count by ({model}) (count by ({model}, instance) ({info}))"
    skewed = f"count(count by ({model}, version) ({info}) < on ({model}) group_left {replicas})"
    refused = f"count({series('model_state_info', MODEL, STAYED)})"
    return Section(
        "Now",
        [
            number("Models", NoUnit, f"count(count by (namespace, job, model) ({series('model_ready', MODEL)}))", {}),
            explained(
                number("Not ready, over all replicas", NoUnit, or_zero(unready), {1: RED}),
                "Models times replicas.",
                "TidegateModelNotReadySomewhere",
                "TidegateModelNotReady",
            ),
            explained(
                number("Versions that not all replicas serve", NoUnit, or_zero(skewed), {1: ORANGE}),
                "Passing through a promotion is normal; staying is not.",
                "TidegateVersionSkew",
            ),
            explained(
                number("Served in place of one that failed", NoUnit, or_zero(refused), {1: ORANGE}),
                "The version before goes on where the new one did not prove itself, or could not be fetched.",
                "TidegateLoadFailed",
            ),
            explained(
                number(
                    "Graphs without their engine", NoUnit, f"sum({series('engine_fallbacks', VERSION)})", {1: ORANGE}
                ),
                "ONNX Runtime answers in TensorRT's place: right, and slower.",
                "TidegateEngineFallback",
            ),
            explained(
                number(
                    "Load failures, in the time shown",
                    NoUnit,
                    f"sum(increase({series('model_load_failures_total', MODEL)}[$__range]))",
                    {1: ORANGE},
                ),
                "",
                "TidegateLoadFailed",
            ),
        ],
    )


def served() -> Section:
    without = f"{series('engine_fallback_info', VERSION)} or {series('engine_fallbacks', VERSION)} == 0"
    where = {"instance": "Replica", "model": "Model"}
    which = {"version": "Version", "variant": "Variant", "precision": "Precision", "digest": "Package"}
    return Section(
        "Served",
        [
            rows("What is served where", NoUnit, {"": SERVED}, {**where, **which}),
            explained(
                rows(
                    "States, and why",
                    NoUnit,
                    {"": series("model_state_info", MODEL)},
                    {**where, "state": "State", "reason": "Reason"},
                ).span(HALF),
                "READY with a reason: the version before is served, for that reason.",
                "TidegateModelNotReady",
                "TidegateLoadFailed",
            ),
            explained(
                rows(
                    "Graphs that run without their engine, and why",
                    NoUnit,
                    {"Graphs": without},
                    {**where, "version": "Version", "role": "Graph", "reason": "Reason"},
                ).span(HALF),
                "0 without a reason: everything runs as it was asked to.",
                "TidegateEngineFallback",
            ),
        ],
    )


def versions() -> Section:
    return Section(
        "Versions",
        [
            explained(
                stacked(
                    "Replicas by version",
                    NoUnit,
                    Query(f"count by (model, version) ({SERVED})", "{{model}} {{version}}"),
                ),
                "A promotion is one colour giving way to another, within a poll of the registry.",
                "TidegateVersionSkew",
            ),
            stacked(
                "Replicas by variant",
                NoUnit,
                Query(f"count by (model, variant, precision) ({SERVED})", "{{model}} {{variant}} ({{precision}})"),
            ),
            explained(
                stacked(
                    "Replicas by package",
                    NoUnit,
                    Query(f"count by (model, version, digest) ({SERVED})", "{{model}} {{version}}: {{digest}}"),
                ),
                "One version with two packages comes from two registries.",
            ),
        ],
    )


def loading() -> Section:
    failures = summed("model", f"increase({series('model_load_failures_total', MODEL)}[$__rate_interval])")
    return Section(
        "Loading",
        [
            explained(
                states("Ready", READY, Query(series("model_ready", MODEL), "{{model}} {{instance}}")),
                "By model and replica.",
                "TidegateModelNotReady",
                "TidegateModelNotReadySomewhere",
            ),
            explained(
                events("Load failures", NoUnit, Query(failures, "{{model}}")),
                "Versions that did not prove themselves, or could not be fetched.",
                "TidegateLoadFailed",
            ),
            explained(
                lines(
                    "Graphs without their engine",
                    NoUnit,
                    Query(summed("model, version", series("engine_fallbacks", VERSION)), "{{model}} {{version}}"),
                ),
                "",
                "TidegateEngineFallback",
            ),
        ],
    )
