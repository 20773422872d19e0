"""The Decoder over a package's graphs: one state for all slots, allocated once, read and written where it lies.

A slot is a row of every state tensor. A prompt goes into the view of its own row, a step into the view of all rows from
the first slot that takes part to the last; nothing is gathered and nothing copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from registry.decoder_interface import (
    CACHES,
    CONTEXT_AXIS,
    FEATURE_TOKEN,
    FEATURES,
    LOGITS,
    NUM_CACHED,
    NUM_NEW,
    PAST,
    PRESENT,
    SOURCE,
    TARGET,
    TOKENS,
    WANTED,
)
from serving.generation.decoder import Logits, Step
from serving.runtimes.runtime import Binding, DeviceTensor, Runtime
from tasks.errors import InvalidPackage
from tasks.task import Array


class GraphDecoder:
    """See Decoder. `decoder` and `copier` run the graphs of these roles; both are closed with it."""

    def __init__(self, decoder: Runtime, copier: Runtime, num_slots: int, context: int) -> None:
        """`context`: positions of a slot. Raises InvalidPackage for a cache that has another number."""
        self._decoder, self._copier = decoder, copier
        self._num_slots, self._context = num_slots, context
        self._states = allocate_states(decoder, num_slots)
        check_caches(self._states, context)
        self._vocabulary = next(spec.shape[-1] for spec in decoder.outputs if spec.name == LOGITS)
        self._feature_width = next((spec.shape[-1] for spec in decoder.inputs if spec.name == FEATURES), 0)
        self._bindings: dict[tuple[int, int], Binding] = {}

    @property
    def num_slots(self) -> int:
        return self._num_slots

    @property
    def context(self) -> int:
        return self._context

    @property
    def vocabulary(self) -> int:
        return self._vocabulary

    @property
    def can_rewind(self) -> bool:
        return all(name.startswith(CACHES) for name in self._states)

    def prefill(
        self, slot: int, tokens: Sequence[int], num_cached: int, features: Array | None = None, want_logits: bool = True
    ) -> Logits | None:
        num_features = 0 if features is None else len(features)
        length = num_features + len(tokens)
        row = np.full((1, length), FEATURE_TOKEN, np.int64)
        row[0, num_features:] = tokens
        inputs: dict[str, Array] = {
            TOKENS: row,
            NUM_CACHED: np.array([num_cached], np.int32),
            NUM_NEW: np.array([length], np.int32),
            WANTED: np.array([(0, length - 1)] if want_logits else [], np.int64).reshape(-1, 2),
        }
        if self._feature_width:
            inputs[FEATURES] = np.zeros((1, length, self._feature_width), np.float32)
            if features is not None:
                inputs[FEATURES][0, :num_features] = features
        logits = self._run(slot, slot + 1, inputs)
        return logits[0] if want_logits else None

    def decode(self, steps: Sequence[Step], held: Mapping[int, int]) -> Logits:
        slots = [step.slot for step in steps]
        first, stop = min(slots), max(slots) + 1
        num_rows = stop - first
        tokens = np.zeros((num_rows, 1), np.int64)
        num_cached, num_new = np.zeros(num_rows, np.int32), np.zeros(num_rows, np.int32)
        for slot, position in held.items():
            if first <= slot < stop:
                # An idle row writes one position behind what it holds, for which there must be room.
                num_cached[slot - first] = min(position, self._context - 1)
        wanted = np.zeros((len(steps), 2), np.int64)
        for index, (slot, token, position) in enumerate(steps):
            row = slot - first
            tokens[row, 0], num_cached[row], num_new[row], wanted[index, 0] = token, position, 1, row
        inputs: dict[str, Array] = {TOKENS: tokens, NUM_CACHED: num_cached, NUM_NEW: num_new, WANTED: wanted}
        if self._feature_width:
            inputs[FEATURES] = np.zeros((num_rows, 1, self._feature_width), np.float32)
        return self._run(first, stop, inputs)

    def copy(self, source: int, target: int) -> None:
        sources = {SOURCE + name: state.rows(source, source + 1) for name, state in self._states.items()}
        targets = {TARGET + name: state.rows(target, target + 1) for name, state in self._states.items()}
        self._copier.bind(sources, targets).run({})

    def close(self) -> None:
        self._bindings.clear()
        self._states.clear()
        self._decoder.close()
        self._copier.close()

    def _run(self, first: int, stop: int, inputs: Mapping[str, Array]) -> Logits:
        """Logits FP32 [n, vocabulary] of what `inputs` want of the slots from `first` to before `stop`."""
        binding = self._bindings.get((first, stop))
        if binding is None:
            views = {name: state.rows(first, stop) for name, state in self._states.items()}
            binding = self._bindings[first, stop] = self._decoder.bind(
                {PAST + name: view for name, view in views.items()},
                {PRESENT + name: view for name, view in views.items()},
            )
        return binding.run(inputs)[LOGITS].astype(np.float32, copy=False)


def allocate_states(decoder: Runtime, num_slots: int) -> dict[str, DeviceTensor]:
    """By name, the state of all slots [slots, …]."""
    return {
        spec.name.removeprefix(PAST): decoder.allocate(
            msgspec.structs.replace(spec, shape=(num_slots, *spec.shape[1:]))
        )
        for spec in decoder.inputs
        if spec.name.startswith(PAST)
    }


def check_caches(states: Mapping[str, DeviceTensor], context: int) -> None:
    """Raises InvalidPackage for a cache that does not hold `context` positions."""
    for name, state in states.items():
        shape = state.spec.shape
        if name.startswith(CACHES) and (len(shape) != 4 or shape[CONTEXT_AXIS] != context):
            raise InvalidPackage(
                f"state {name!r} has the shape {list(shape)}; [rows, heads, {context}, width] was expected of a cache"
            )
