"""The part of the dashboard of models that says how right answers were, by what feedback has told since."""

from __future__ import annotations

from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, RequestsPerSecond

from deploy.grafana.board import Section
from deploy.grafana.panels import Query, bars, lines, stacked
from deploy.grafana.runbook import explained
from deploy.grafana.selection import MODEL, VERSION, growth, mean, rate, series, share, summed

NO_FEEDBACK = "No feedback"
BY_CLASS = "model, version, label"
CLASS = "{{model}} {{version}}: {{label}}"


def shared(by: str, metric: str, part: str, whole: str = "") -> str:
    """Share of what feedback counted in the time shown. `part`, `whole`: matchers of outcomes."""
    counted = summed(by, growth(series(metric, VERSION, part)))
    return f"{counted} / {summed(by, growth(series(metric, VERSION, *([whole] if whole else []))))}"


def classes() -> Section:
    """Classifications."""
    labels = "feedback_labels_total"
    correct = 'outcome="correct"'
    over_time = share("model, version", series(labels, VERSION, correct), series(labels, VERSION))
    return Section(
        "Truth: classifications",
        [
            lines("Accuracy", PercentUnit, Query(over_time, "{{model}} {{version}}")).max(1).no_value(NO_FEEDBACK),
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
    overlap = " / ".join(
        summed(BY_CLASS, growth(series("feedback_pixels_total", VERSION, f'outcome="{outcome}"')))
        for outcome in ("intersection", "union")
    )
    texts = [
        Query(
            share(
                "model, version",
                series("feedback_texts_total", VERSION, 'outcome="exact"'),
                series("feedback_texts_total", VERSION),
            ),
            "{{model}} {{version}} exact",
        ),
        Query(mean("model, version", "feedback_token_f1", VERSION), "{{model}} {{version}} F1 of words"),
        Query(mean("model, version", "feedback_rating", VERSION), "{{model}} {{version}} rating"),
    ]
    came = summed("model, outcome", rate(series("feedback_total", MODEL)))
    return Section(
        "Truth: objects, masks, texts",
        [
            explained(
                bars("Objects found", PercentUnit, Query(recall, CLASS)).max(1).no_value(NO_FEEDBACK),
                "Recall: of the objects of each class that there were, in the time shown.",
            ),
            explained(
                bars("Objects that there were", PercentUnit, Query(precision, CLASS)).max(1).no_value(NO_FEEDBACK),
                "Precision: of the objects of each class that were answered, in the time shown.",
            ),
            explained(
                bars("Masks", PercentUnit, Query(overlap, CLASS)).max(1).no_value(NO_FEEDBACK),
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
