"""A decoder without a model: for tests of schedulers, where what matters is which state lies in which slot."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from serving.generation.decoder import Logits, Step
from tasks.task import Array

Held = tuple[int | bytes, ...]
"""What a slot has been given: a digest for each row of features, and the tokens."""
LogitsOf = Callable[[Held], Logits]


class FakeDecoder:
    """Logits are a function of all that a slot holds, so that a mixed-up slot shows as a wrong text. What a run may
    destroy, it does destroy.

    `gate`: while it is cleared, every run waits for it, so that a test decides when the decoder is busy. `runs`
    remembers what was asked for: ("prefill", slot, positions), ("decode", slot, …) and ("copy", source, target).
    """

    def __init__(
        self, num_slots: int = 4, context: int = 64, logits_of: LogitsOf | None = None, can_rewind: bool = True
    ) -> None:
        self._logits_of = logits_of or random_logits
        self._num_slots, self._context, self._can_rewind = num_slots, context, can_rewind
        self._states: list[Held | None] = [()] * num_slots
        """None: destroyed."""
        self.vocabulary_size = len(self._logits_of(()))
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[tuple[str | int, ...]] = []
        self.closed = False

    @property
    def num_slots(self) -> int:
        return self._num_slots

    @property
    def context(self) -> int:
        return self._context

    @property
    def vocabulary(self) -> int:
        return self.vocabulary_size

    @property
    def can_rewind(self) -> bool:
        return self._can_rewind

    def prefill(
        self, slot: int, tokens: Sequence[int], num_cached: int, features: Array | None = None, want_logits: bool = True
    ) -> Logits | None:
        rows = () if features is None else tuple(hashlib.blake2b(row.tobytes()).digest() for row in features)
        self._run("prefill", slot, len(rows) + len(tokens))
        state = self._state(slot, num_cached) + rows + tuple(tokens)
        if len(state) > self._context:
            raise ValueError(f"slot {slot} would hold {len(state)} positions of {self._context}")
        self._states[slot] = state
        return self._logits_of(state) if want_logits else None

    def decode(self, steps: Sequence[Step], held: Mapping[int, int]) -> Logits:
        self._run("decode", *(step.slot for step in steps))
        if len({step.slot for step in steps}) != len(steps) or any(step.slot in held for step in steps):
            raise ValueError("a slot was named twice in one run")
        stepped = {step.slot: (*self._state(step.slot, step.num_cached), step.token) for step in steps}
        kept = {slot: self._state(slot, length) for slot, length in held.items()}
        if any(len(state) > self._context for state in (*stepped.values(), *((*k, 0) for k in kept.values()))):
            raise ValueError(f"a slot would hold more than {self._context} positions")
        self._states = [stepped.get(slot, kept.get(slot)) for slot in range(self._num_slots)]
        return np.stack([self._logits_of(stepped[step.slot]) for step in steps])

    def copy(self, source: int, target: int) -> None:
        self._run("copy", source, target)
        self._states[target] = self._states[source]

    def close(self) -> None:
        self.closed = True

    def _state(self, slot: int, length: int) -> Held:
        """The first `length` positions of a slot. Raises ValueError if it does not hold them."""
        if length == 0:
            return ()
        state = self._states[slot]
        if state is None or len(state) < length or (len(state) != length and not self._can_rewind):
            raise ValueError(f"slot {slot} was taken to hold {length} positions; it holds {state}")
        return state[:length]

    def _run(self, *what: str | int) -> None:
        self.runs.append(what)
        if not self.gate.wait(timeout=30):
            raise TimeoutError("the test never opened the gate of its fake decoder")


def random_logits(held: Held, vocabulary: int = 16) -> Logits:
    """FP32 [vocabulary]: always the same for the same history, and very likely others for any other."""
    seed = int.from_bytes(hashlib.blake2b(repr(held).encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).normal(0, 2, vocabulary).astype(np.float32)
