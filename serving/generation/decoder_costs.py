"""What a decoder takes on this host, measured when it is loaded."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from serving.generation.decoder import Decoder, Step

RUNS = 3
PIECE = 64
"""Tokens of the prompt that is timed, where the context has room for them."""


@dataclass(frozen=True)
class DecoderCosts:
    """Seconds, while the states are nearly empty: a full cache costs more."""

    step_s: Mapping[int, float]
    """Slots taken one token further in one run → how long that takes: 1, 2, 4, … and all."""
    prompt_token_s: float
    """Of each token of a long prompt."""


def measure_costs(decoder: Decoder) -> DecoderCosts:
    """Runs every kind of step that will be run later, so that allocators are warm too. Leaves nothing in the slots."""
    doubled = (1 << power for power in range(decoder.num_slots.bit_length()))
    sizes = sorted({*(size for size in doubled if size <= decoder.num_slots), decoder.num_slots})
    piece = [0] * min(PIECE, decoder.context - 1)
    prompt_s = median_s(lambda: decoder.prefill(0, piece, 0))
    step_s = {size: median_s(partial(decoder.decode, first_steps(size), {})) for size in sizes}
    return DecoderCosts(step_s, prompt_s / len(piece))


def first_steps(num_slots: int) -> list[Step]:
    """The first token of each of the first slots."""
    return [Step(slot, token=0, num_cached=0) for slot in range(num_slots)]


def median_s(run: Callable[[], object]) -> float:
    """Of a few runs; one before them is for allocators and is not counted."""
    run()
    seconds = []
    for _ in range(RUNS):
        started_at = perf_counter()
        run()
        seconds.append(perf_counter() - started_at)
    return statistics.median(seconds)
