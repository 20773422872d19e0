"""The part of the dashboard of models that says how right answers were, by what feedback has told since."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, RequestsPerSecond

from deploy.grafana.board import Section
from deploy.grafana.panels import Query, bars, lines, stacked
from deploy.grafana.runbook import explained
from deploy.grafana.selection import MODEL, VERSION, growth, mean, rate, series, summed

NO_FEEDBACK = "No feedback"
BY_CLASS = "model, version, label"
CLASS = "{{model}} {{version}}: {{label}}"


def part_of(part: str, whole: str) -> str:
    """0 for a class of which nothing was right: it has no counter of what was."""
    return f"({part} or 0 * {whole}) / {whole}"


def shared(by: str, metric: str, part: str, *whole: str) -> str:
    """Share of what feedback counted in the time shown. `part`, `whole`: matchers of outcomes; no `whole`: of all."""
    counted = [summed(by, growth(series(metric, VERSION, *outcomes))) for outcomes in ([part], whole)]
    return part_of(*counted)


def shared_over_time(metric: str, part: str) -> str:
    """The same by version, at each moment."""
    counted = [summed("model, version", rate(series(metric, VERSION, *outcomes))) for outcomes in ([part], [])]
    return part_of(*counted)


def classes() -> Section:
    """Classifications."""
    labels = "feedback_labels_total"
    correct = 'outcome="correct"'
    return Section(
        "Truth: classifications",
        [
            lines("Accuracy", PercentUnit, Query(shared_over_time(labels, correct), "{{model}} {{version}}"))
            .max(1)
            .no_value(NO_FEEDBACK),
            explained(
                bars("Accuracy by class", PercentUnit, Query(shared(BY_CLASS, labels, correct), CLASS))
                .max(1)
                .no_value(NO_FEEDBACK),
                "By the true class, in the time shown.",
            ),
            bars(
                "Among the best five",
                PercentUnit,
                Query(shared(BY_CLASS, "feedback_top_5_total", 'outcome="hit"'), CLASS),
            )
            .max(1)
            .no_value(NO_FEEDBACK),
        ],
    )


def objects_and_texts() -> Section:
    """Whatever else is answered, and what becomes of feedback."""
    objects = "feedback_objects_total"
    found = 'outcome="true_positive"'
    recall = shared(BY_CLASS, objects, found, 'outcome=~"true_positive|missed"')
    precision = shared(BY_CLASS, objects, found, 'outcome=~"true_positive|false_positive"')
    overlap = shared(BY_CLASS, "feedback_pixels_total", 'outcome="intersection"', 'outcome="union"')
    texts = [
        Query(shared_over_time("feedback_texts_total", 'outcome="exact"'), "{{model}} {{version}} exact"),
        Query(mean("model, version", "feedback_token_f1", VERSION), "{{model}} {{version}} F1 of words"),
        Query(mean("model, version", "feedback_rating", VERSION), "{{model}} {{version}} rating"),
    ]
    came = summed("model, outcome", rate(series("feedback_total", MODEL)))
    return Section(
        "Truth: objects, masks, texts",
        [
            explained(
                bars("Recall of objects", PercentUnit, Query(recall, CLASS)).max(1).no_value(NO_FEEDBACK),
                "Of the objects of each class that there were, the share that was found, in the time shown.",
            ),
            explained(
                bars("Precision of objects", PercentUnit, Query(precision, CLASS)).max(1).no_value(NO_FEEDBACK),
                "Of the objects of each class that were answered, the share that there was, in the time shown.",
            ),
            explained(
                bars("Overlap of masks", PercentUnit, Query(overlap, CLASS)).max(1).no_value(NO_FEEDBACK),
                "Intersection over union of the pixels of each class, in the time shown.",
            ),
            lines("Texts", PercentUnit, *texts).max(1).no_value(NO_FEEDBACK),
            explained(
                stacked("Feedback that came", RequestsPerSecond, Query(came, "{{model}} {{outcome}}")).no_value(
                    NO_FEEDBACK
                ),
                "joined: to an answer that was remembered. attached: it brought the answer along. unknown, expired: no "
                "such answer here, or not any more.",
            ),
            lines(
                "Answers that feedback can be joined to",
                NoUnit,
                Query(summed("model", series("feedback_remembered", MODEL)), "{{model}}"),
            ).no_value(NO_FEEDBACK),
        ],
    )
