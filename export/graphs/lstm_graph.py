"""The decoder graph of an LSTM: its state of a few vectors passes through the same interface as a cache.

A row without new tokens keeps its state, one that starts anew begins at zero, and padding is never read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from export.graphs.decoder_io import ROWS, DecoderInputs, add_inputs, add_logits, array_of, embed
from export.graphs.graph_builder import GraphBuilder
from export.graphs.graph_form import GraphForm
from registry.decoder_interface import PAST, PRESENT
from tasks.task import Array
from training.models.lstm import LSTM

GATE_ORDER = (0, 3, 1, 2)
"""Of torch's gates i, f, g, o, those that ONNX wants: i, o, f, c."""


class LstmGraph:
    """Builds one graph; used once."""

    def __init__(self, network: LSTM, form: GraphForm) -> None:
        self._network, self._form = network, form
        self._builder = GraphBuilder(form.float_type)

    def build(self) -> Any:
        builder, network = self._builder, self._network
        inputs = add_inputs(builder)
        embedded = embed(builder, inputs.tokens, network.embedding.weight)
        x = builder.add("Transpose", embedded, perm=[1, 0, 2])
        # ONNX Runtime answers zeros for a row without tokens: it gets one, and its state is put back afterwards.
        lengths = builder.add("Max", inputs.num_new, builder.integers([1], "int32"))
        anew, idle = (self._is_zero(name) for name in (inputs.num_cached, inputs.num_new))
        for level, layer in enumerate(network.layers):
            assert isinstance(layer, nn.LSTM)
            x = self._recur(x, level, layer, (lengths, anew, idle))
        by_row = builder.add("Transpose", x, perm=[1, 0, 2])
        add_logits(builder, self._project(by_row, inputs), network.embedding.weight, self._form.head)
        return builder.model("decoder")

    def _is_zero(self, counts: str) -> str:
        """[rows] → [rows, 1]: is it zero?"""
        builder = self._builder
        column = builder.add("Unsqueeze", counts, builder.integers([1]))
        return builder.add("Equal", column, builder.integers(0, "int32"))

    def _recur(self, x: str, level: int, layer: nn.LSTM, rows: tuple[str, str, str]) -> str:
        """x [length, rows, in] → [length, rows, hidden]. `rows`: lengths, which start anew, which are idle."""
        builder, hidden, (lengths, anew, idle) = self._builder, layer.hidden_size, rows
        zero = builder.weight("zero", np.zeros(1, np.float32))
        states = [f"hidden_{level}", f"cell_{level}"]
        pasts = [builder.input(PAST + state, builder.state_dtype, [ROWS, hidden]) for state in states]
        started = [builder.add("Where", anew, zero, past) for past in pasts]
        initial = [builder.add("Unsqueeze", each, builder.integers([0])) for each in started]
        weights = [
            builder.weight(f"{name}_{level}", ordered(layer.get_parameter(f"weight_{name}_l0"))[None])
            for name in ("ih", "hh")
        ]
        biases = [ordered(layer.get_parameter(f"bias_{name}_l0")) for name in ("ih", "hh")]
        bias = builder.weight(f"bias_{level}", np.concatenate(biases)[None])
        y, *finals = builder.add_many(
            "LSTM", x, *weights, bias, lengths, *initial, outputs=["", "", ""], hidden_size=hidden
        )
        for state, past, final in zip(states, pasts, finals, strict=True):
            moved = builder.add("Squeeze", final, builder.integers([0]))
            present = builder.output(PRESENT + state, builder.state_dtype, [ROWS, hidden])
            builder.add("Where", idle, past, moved, output=present)
        return builder.add("Squeeze", y, builder.integers([1]))

    def _project(self, x: str, inputs: DecoderInputs) -> str:
        """x [rows, length, hidden] → what the head takes, of the wanted tokens [n, width]."""
        builder, projection = self._builder, self._network.projection
        wanted = builder.add("GatherND", x, inputs.wanted)
        weight = builder.weight("projection", array_of(projection.weight.T))
        bias = builder.weight("projection_bias", array_of(projection.bias))
        return builder.add("Add", builder.add("MatMul", wanted, weight), bias)


def ordered(gates: Tensor) -> Array:
    """[4 · hidden, …] in torch's order of gates → in that of ONNX."""
    parts = np.split(array_of(gates), 4)
    return np.concatenate([parts[gate] for gate in GATE_ORDER])
