"""The graphs of one variant, run as a server runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.generative.speaker import Logits
from export.host_runtime import open_on_host
from registry.decoder_interface import (
    COPY,
    DECODER,
    ENCODER,
    FEATURE_TOKEN,
    FEATURES,
    LOGITS,
    NUM_CACHED,
    NUM_NEW,
    PAST,
    PRESENT,
    TOKENS,
    WANTED,
)
from serving.generation.graph_decoder import GraphDecoder
from serving.runtimes.compute_threads import ComputeThreads
from tasks.generation import Prompt
from tasks.task import Array


class GraphSpeaker:
    """See Speaker. `decoder` is what the generator of a server would be given."""

    def __init__(self, graphs: Mapping[str, Path], num_slots: int, context: int, num_threads: int) -> None:
        """`graphs`: role → file."""
        self.runtimes = {role: open_on_host(path, ComputeThreads(num_threads)) for role, path in graphs.items()}
        self.decoder = GraphDecoder(self.runtimes[DECODER], self.runtimes[COPY], num_slots, context)
        states = {
            spec.name.removeprefix(PAST): self.runtimes[DECODER].allocate(
                msgspec.structs.replace(spec, shape=(1, *spec.shape[1:]))
            )
            for spec in self.runtimes[DECODER].inputs
            if spec.name.startswith(PAST)
        }
        self._binding = self.runtimes[DECODER].bind(
            {PAST + name: state for name, state in states.items()},
            {PRESENT + name: state for name, state in states.items()},
        )

    def encode(self, tensors: dict[str, Array]) -> dict[str, Array]:
        answers = self.runtimes[ENCODER].run({name: value[None] for name, value in tensors.items()})
        return {name: value[0] for name, value in answers.items()}

    def expect(self, prompt: Prompt, answer: Sequence[int]) -> Logits:
        """All in one run, with logits at every place of the answer."""
        num_features = 0 if prompt.features is None else len(prompt.features)
        tokens = [*[FEATURE_TOKEN] * num_features, *prompt.tokens, *answer[:-1]]
        first = num_features + len(prompt.tokens) - 1
        inputs: dict[str, Array] = {
            TOKENS: np.array([tokens], np.int64),
            NUM_CACHED: np.zeros(1, np.int32),
            NUM_NEW: np.full(1, len(tokens), np.int32),
            WANTED: np.array([(0, column) for column in range(first, len(tokens))], np.int64),
        }
        if prompt.features is not None:
            inputs[FEATURES] = np.zeros((1, len(tokens), prompt.features.shape[1]), np.float32)
            inputs[FEATURES][0, :num_features] = prompt.features
        logits: Logits = self._binding.run(inputs)[LOGITS]
        return logits

    def close(self) -> None:
        del self._binding
        self.decoder.close()
        if ENCODER in self.runtimes:
            self.runtimes[ENCODER].close()
