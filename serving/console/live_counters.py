"""The numbers behind the live charts: counters since the start, from which a browser works out rates by itself.

Nothing is computed here and nothing is remembered for anybody, so a poll costs a copy of some hundred numbers, and a
browser that slept finds in its next answer everything that happened meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from time import monotonic

import msgspec

from serving.console.model_facts import find_served, key_of
from serving.generation.statistics import GenerationStatistics
from serving.generative_model import GenerativeModel
from serving.model_host import ModelHost
from serving.served import Served
from serving.statistics import OK_CODES, STAGE_BOUNDS_S, Histogram
from serving.upstream.model import UpstreamModel

INSTANCE = secrets.token_hex(4)
"""Tells this process from others that may answer behind the same address, and from itself before a restart."""


class HistogramCounts(msgspec.Struct, frozen=True, kw_only=True):
    """As in `serving.statistics.Histogram`: one more count than bounds, and the sum of all values."""

    counts: Sequence[int]
    total: float


class BatchCounts(HistogramCounts, frozen=True, kw_only=True):
    """Rows of requests per batch."""

    bounds: tuple[float, ...]


class GenerationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a model that answers token by token. `running` of `num_slots` answers are being written now."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token: HistogramCounts
    token: HistogramCounts
    decoding_runs: int
    decoded_rows: int
    running: int
    num_slots: int


class ModelCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One version. `waiting` and `in_flight` are of this moment, all else counts from the start. Seconds."""

    version: str
    answered: int
    failed: int
    refused: int
    expired: int
    cancelled: int
    total: HistogramCounts
    decode: HistogramCounts
    queue: HistogramCounts
    compute: HistogramCounts
    encode: HistogramCounts
    batch: BatchCounts
    padding: int
    waiting: int
    in_flight: int
    generation: GenerationCounts | None


class LiveCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that answers, by the key of `model_facts`. `at`: seconds on a clock that never jumps."""

    instance: str
    at: float
    stage_bounds_s: tuple[float, ...]
    models: dict[str, ModelCounts]


def read_counters(host: ModelHost) -> LiveCounters:
    """On the event loop, which alone writes these numbers."""
    served = [model for state in host.index() if (model := find_served(host, state)) is not None]
    return LiveCounters(
        instance=INSTANCE,
        at=monotonic(),
        stage_bounds_s=STAGE_BOUNDS_S,
        models={key_of(host, model): count_model(model) for model in served},
    )


def count_model(model: Served) -> ModelCounts:
    seen = model.statistics
    generation = model.generation if isinstance(model, GenerativeModel | UpstreamModel) else None
    lost = generation if generation is not None else seen
    return ModelCounts(
        version=model.version,
        answered=sum(count for (_, code), count in seen.requests.items() if code in OK_CODES),
        failed=sum(count for (_, code), count in seen.requests.items() if code not in OK_CODES),
        refused=lost.num_refused,
        expired=lost.num_expired,
        cancelled=lost.num_cancelled,
        total=histogram_counts(seen.total),
        decode=histogram_counts(seen.decode),
        queue=histogram_counts(seen.queue if generation is None else generation.queue),
        compute=histogram_counts(seen.compute),
        encode=histogram_counts(seen.encode),
        batch=BatchCounts(counts=seen.batch_size.counts, total=seen.batch_size.total, bounds=seen.batch_size.bounds),
        padding=seen.num_padding_rows,
        waiting=model.num_waiting,
        in_flight=model.num_in_flight,
        generation=None if generation is None else count_generation(model, generation),
    )


def count_generation(model: Served, seen: GenerationStatistics) -> GenerationCounts:
    running = model.generator.num_running if isinstance(model, GenerativeModel) else model.num_in_flight
    return GenerationCounts(
        prompt_tokens=seen.num_prompt_tokens,
        cached_tokens=seen.num_cached_tokens,
        completion_tokens=seen.num_completion_tokens,
        first_token=histogram_counts(seen.first_token),
        token=histogram_counts(seen.token),
        decoding_runs=seen.decoding.count,
        decoded_rows=seen.num_decoded_rows,
        running=running,
        num_slots=seen.num_slots,
    )


def histogram_counts(histogram: Histogram) -> HistogramCounts:
    return HistogramCounts(counts=histogram.counts, total=histogram.total)
