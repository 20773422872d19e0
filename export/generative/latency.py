"""Single-thread time of a decoding step, of all variants side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from export.generative.graph_speaker import GraphSpeaker
from export.latency import Timing, time_in_turn
from serving.generation.decoder import Step
from tasks.generation import GenerativeTask

DECODE_BATCHES = (1, 8)


def measure_steps(
    speakers: Mapping[str, GraphSpeaker], task: GenerativeTask, sizes: Sequence[int], seconds: float
) -> dict[str, dict[int, Timing]]:
    """Variant → number of rows → time of one step: the time between two tokens of each of so many streams, with half
    of the context behind them. `speakers` have slots for the largest size, and one thread."""
    timings: dict[str, dict[int, Timing]] = {name: {} for name in speakers}
    for size in sizes:
        steps = [Step(slot, slot, task.context // 2) for slot in range(size)]
        calls = {name: partial(speaker.decoder.decode, steps, {}) for name, speaker in speakers.items()}
        for name, timing in time_in_turn(calls, seconds).items():
            timings[name][size] = timing
    return timings


def step_sizes(max_slots: int) -> tuple[int, ...]:
    """Those of the usual sizes that a server may run."""
    return tuple(size for size in DECODE_BATCHES if size <= max_slots)
