"""What a model has done so far, in the words of the statistics extension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.generation.statistics import GenerationStatistics
from serving.generative_model import GenerativeModel
from serving.served import Served
from serving.statistics import Histogram, Tally


def model_statistics(model: Served) -> dict[str, Any]:
    """Durations are sums in nanoseconds. Decoding counts as compute_input, post-processing as compute_output.

    Of a model that generates an inference is an answer, an execution a run of its decoder, and `queue` the time before
    an answer got a slot."""
    seen = model.statistics
    written = model.generation if isinstance(model, GenerativeModel) else None
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": seen.last_inference_ms,
        "inference_count": seen.num_rows if written is None else sum(written.finished.values()),
        "execution_count": seen.num_executions if written is None else runs_of(written).count,
        "inference_stats": {
            "success": duration(seen.success),
            "fail": duration(seen.fail),
            "queue": stage_duration(seen.queue if written is None else written.queue),
            "compute_input": stage_duration(seen.decode),
            "compute_infer": stage_duration(seen.compute) if written is None else duration(runs_of(written)),
            "compute_output": stage_duration(seen.encode),
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "batch_stats": batch_statistics(seen.executions),
        "memory_usage": [],
    }


def runs_of(written: GenerationStatistics) -> Tally:
    """All runs of a decoder."""
    decoding, prefilling = written.decoding, written.prefilling
    return Tally(decoding.count + prefilling.count, decoding.seconds + prefilling.seconds)


def batch_statistics(executions: Mapping[int, Tally]) -> list[dict[str, Any]]:
    """Per executed batch size. What happens before and after is known per request only."""
    nothing = {"count": 0, "ns": 0}
    return [
        {"batch_size": size, "compute_input": nothing, "compute_infer": duration(tally), "compute_output": nothing}
        for size, tally in sorted(executions.items())
    ]


def duration(tally: Tally) -> dict[str, int]:
    return {"count": tally.count, "ns": tally.ns}


def stage_duration(stage: Histogram) -> dict[str, int]:
    return {"count": stage.count, "ns": round(stage.total * 1e9)}
