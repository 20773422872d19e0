"""The Prometheus metrics of models that answer token by token, the part of serving/metrics.py that is theirs alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from serving.generation.statistics import GenerationStatistics
from serving.generative_model import GenerativeModel
from serving.metric_families import MODEL_LABELS, add_histogram, counter, gauge, histogram
from serving.metric_series import NamedSeries

HISTOGRAMS = {
    "time_to_first_token_seconds": (
        "first_token",
        "From a request's arrival to its first token, or its beams' answer.",
    ),
    "time_per_output_token_seconds": ("token", "From one token of an answer to the next."),
    "generation_queue_seconds": ("queue", "From arrival to a slot of the decoder, per answer."),
    "generation_seconds": ("total", "From arrival to the last token, per request that was answered."),
}
COUNTERS = {
    "prompt_tokens": ("num_prompt_tokens", "Positions of prompts that were begun, those of pictures included."),
    "prompt_tokens_reused": ("num_cached_tokens", "Of them, those that another request had left in a slot."),
    "completion_tokens": ("num_completion_tokens", "Tokens of answers."),
    "prefix_lookups": ("num_prefix_lookups", "Requests whose prompt was looked for in the slots."),
    "prefix_hits": ("num_prefix_hits", "Of them, those that found a part of it."),
    "decoded_rows": ("num_decoded_rows", "Slots taken one token further, over all runs of the decoder."),
}
OUTCOMES = ("refused", "cancelled", "expired", "failed")


def generation_metrics(all_series: Sequence[NamedSeries]) -> Iterator[Metric]:
    """Of the versions that generate, or have; nothing where there are none."""
    known = [((name, version), one.generation) for name, version, one in all_series if one.generation is not None]
    if not known:
        return
    for name, (attribute, help_text) in HISTOGRAMS.items():
        times = histogram(name, help_text)
        for labels, statistics in known:
            add_histogram(times, labels, getattr(statistics, attribute))
        yield times
    for name, (attribute, help_text) in COUNTERS.items():
        total = counter(name, help_text)
        for labels, statistics in known:
            total.add_metric(labels, getattr(statistics, attribute))
        yield total
    yield from outcome_metrics(known)
    yield from run_metrics(known)
    yield from slot_metrics(all_series)


def outcome_metrics(known: Sequence[tuple[tuple[str, str], GenerationStatistics]]) -> Iterator[Metric]:
    """What became of answers and of requests."""
    finished = counter("answers_finished", "Answers by what ended them.", (*MODEL_LABELS, "reason"))
    unanswered = counter(
        "generation_unanswered", "Requests to generate that got no whole answer.", (*MODEL_LABELS, "outcome")
    )
    for labels, statistics in known:
        for reason, count in list(statistics.finished.items()):
            finished.add_metric((*labels, reason), count)
        for outcome in OUTCOMES:
            unanswered.add_metric((*labels, outcome), getattr(statistics, f"num_{outcome}"))
    yield from (finished, unanswered)


def run_metrics(known: Sequence[tuple[tuple[str, str], GenerationStatistics]]) -> Iterator[Metric]:
    """What the decoder did, and how long it took over it."""
    runs = counter("decoder_runs", "Runs of the decoder.", (*MODEL_LABELS, "kind"))
    seconds = counter("decoder_run_seconds", "Time that they took.", (*MODEL_LABELS, "kind"))
    for labels, statistics in known:
        for kind, tally in (("decoding", statistics.decoding), ("prefill", statistics.prefilling)):
            runs.add_metric((*labels, kind), tally.count)
            seconds.add_metric((*labels, kind), tally.seconds)
    yield from (runs, seconds)


def slot_metrics(all_series: Sequence[NamedSeries]) -> Iterator[Metric]:
    """The moment of the scrape, of versions that are served."""
    running = gauge("running_sequences", "Slots in which an answer is being written; a beam search takes several.")
    waiting = gauge("waiting_sequences", "Slots that are being waited for.")
    slots = gauge("slots", "Answers that can be worked on at once.")
    occupancy = gauge("slot_occupancy", "Share of the slots that are in use.")
    for name, version, one in all_series:
        if isinstance(one.served, GenerativeModel):
            generator, num_slots = one.served.generator, one.served.generation.num_slots
            running.add_metric((name, version), generator.num_running)
            waiting.add_metric((name, version), generator.num_waiting)
            slots.add_metric((name, version), num_slots)
            occupancy.add_metric((name, version), generator.num_running / num_slots)
    yield from (running, waiting, slots, occupancy)
