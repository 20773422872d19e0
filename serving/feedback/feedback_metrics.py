"""The Prometheus metrics of feedback: live accuracy, per class. All are counters, so that replicas add up."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from serving.feedback.statistics import FeedbackStatistics
from serving.metric_families import MODEL_LABELS, add_histogram, counter, gauge, histogram

BY_LABEL = (*MODEL_LABELS, "label", "outcome")
BY_OUTCOME = (*MODEL_LABELS, "outcome")
COUNTERS = {
    "labels": ("feedback_labels", "Labelled classifications by true class: correct or incorrect.", BY_LABEL),
    "top_5": ("feedback_top_5", "The same: is the true class among the best five, hit or miss.", BY_LABEL),
    "objects": ("feedback_objects", "Objects of labelled pictures: true_positive, false_positive, missed.", BY_LABEL),
    "pixels": ("feedback_pixels", "Pixels of labelled masks by class: intersection, union.", BY_LABEL),
    "texts": ("feedback_texts", "Answers with reference texts: exact or different.", BY_OUTCOME),
}
HISTOGRAMS = {
    "token_f1": ("feedback_token_f1", "F1 of the words of an answer and of its best reference."),
    "rating": ("feedback_rating", "Ratings of answers, 0 to 1."),
}


def feedback_metrics(statistics: FeedbackStatistics) -> Iterator[Metric]:
    """Of versions that got feedback; what came and what is remembered also of models that got none."""
    came = counter("feedback", "Feedback by what became of it.", ("model", "outcome"))
    for labels, num_feedbacks in list(statistics.outcomes.items()):
        came.add_metric(labels, num_feedbacks)
    remembered = gauge("feedback_remembered", "Answers that feedback can be joined to.", ("model",))
    for model, num_answers in list(statistics.remembered.items()):
        remembered.add_metric((model,), num_answers)
    yield from (came, remembered)
    tallies = list(statistics.tallies.items())
    for family, (name, help_text, label_names) in COUNTERS.items():
        counts = counter(name, help_text, label_names)
        for version, tally in tallies:
            for cell, count in list(tally.counts.items()):
                if cell.family == family:
                    by = (cell.label, cell.outcome) if label_names is BY_LABEL else (cell.outcome,)
                    counts.add_metric((*version, *by), count)
        yield counts
    for family, (name, help_text) in HISTOGRAMS.items():
        values = histogram(name, help_text)
        for version, tally in tallies:
            if family in tally.observed:
                add_histogram(values, version, tally.observed[family])
        yield values
