"""The way of a version into service: registry, challengers, and the data that the next one is trained with."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import BytesIEC, NoUnit, RequestsPerSecond

from deploy.grafana import variables
from deploy.grafana.board import Board, Section
from deploy.grafana.panels import GREEN, HALF, RED, Query, events, lines, prose, rows, stacked, states
from deploy.grafana.runbook import explained
from deploy.grafana.selection import MODEL, REPLICA, rate, series, summed
from deploy.grafana.variables import address

MLFLOW = "http://localhost:5000"
"""Where compose.yaml has it."""
REACHED = {"0": ("away", RED), "1": ("answers", GREEN)}
TRAINING = """
Prometheus knows nothing of **training**: curves of loss and accuracy, recipes, data, the evidence of every variant and
the parent of a retrained model are runs and versions of MLflow: [${mlflow}](${mlflow}).

What is below is what servers see of it: the registry, versions on their way into service, and labels and samples for
the next training.
"""


def registry_board() -> Board:
    return Board(
        name="training-registry",
        title="Training and registry",
        says="The way of a version into service, as far as servers see it. Training itself is shown by MLflow.",
        variables=[
            *variables.fleet(),
            variables.replica(),
            variables.model(),
            address("mlflow", "MLflow at", MLFLOW),
        ],
        sections=[Section("Training", [prose(TRAINING.strip())]), registry(), versions(), data()],
    )


def registry() -> Section:
    failures = summed("model", f"increase({series('model_load_failures_total', MODEL)}[$__rate_interval])")
    return Section(
        "Registry",
        [
            explained(
                states("Registry", REACHED, Query(series("registry_up", REPLICA), "{{instance}}")),
                "As each replica found it when it last asked. Models go on being served either way.",
                "TidegateRegistryAway",
            ),
            explained(
                events("Versions that could not be brought into service", NoUnit, Query(failures, "{{model}}")),
                "They did not prove themselves, or could not be fetched.",
                "TidegateLoadFailed",
            ),
            explained(
                lines(
                    "Models that answer",
                    NoUnit,
                    Query(summed("model", series("model_ready", MODEL)), "{{model}}"),
                ),
                "In replicas.",
                "TidegateModelNotReady",
            ),
        ],
    )


def versions() -> Section:
    which = {"version": "Version", "variant": "Variant", "precision": "Precision", "digest": "Package"}
    served = series("model_info", MODEL)
    challengers = series("challenger_ready", MODEL)
    return Section(
        "Versions",
        [
            explained(
                stacked(
                    "Replicas by version",
                    NoUnit,
                    Query(f"count by (model, version) ({served})", "{{model}} {{version}}"),
                ).span(HALF),
                "A promotion, or a rollback, is one colour giving way to another.",
                "TidegateVersionSkew",
            ),
            lines(
                "Replicas that have a challenger",
                NoUnit,
                Query(summed("model, version", challengers), "{{model}} {{version}}"),
            )
            .span(HALF)
            .no_value("No challenger"),
            rows(
                "In service",
                NoUnit,
                {"Replicas": f"count by (model, version, variant, precision, digest) ({served})"},
                {"model": "Model", **which},
            ),
        ],
    )


def data() -> Section:
    captured = summed("model, outcome", rate(series("captured_total", MODEL)))
    came = summed("model, outcome", rate(series("feedback_total", MODEL)))
    return Section(
        "Data for the next training",
        [
            explained(
                stacked("Samples of the traffic", RequestsPerSecond, Query(captured, "{{model}} {{outcome}}")).no_value(
                    "Capture is off, or nothing came"
                ),
                "kept: written to the folder that retraining reads. dropped: the queue was full. failed: the disk was.",
            ),
            explained(
                lines("Folder of samples", BytesIEC, Query(series("capture_folder_bytes", REPLICA), "{{instance}}")),
                "The oldest makes room for the newest.",
            ),
            lines(
                "Batches that were too old or made room",
                NoUnit,
                Query(
                    f"increase({series('capture_batches_removed_total', REPLICA)}[$__rate_interval])", "{{instance}}"
                ),
            ),
            stacked("Labels that came", RequestsPerSecond, Query(came, "{{model}} {{outcome}}"))
            .span(24)
            .no_value("No feedback"),
        ],
    )
