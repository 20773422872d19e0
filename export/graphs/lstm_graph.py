"""The decoder graph of an LSTM: its state of a few vectors passes through the same interface as a cache.

A row without new tokens keeps its state, one that starts anew begins at zero, and padding is never read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch import nn

from export.graphs.decoder_io import ROWS, DecoderInputs, add_inputs, add_logits, array_of, embed
from export.graphs.graph_builder import GraphBuilder, Size
from export.graphs.graph_form import GraphForm
from export.graphs.lstm_recurrence import recur_by_operator, recur_by_products
from registry.decoder_interface import PAST, PRESENT
from training.models.lstm import LSTM


class Rows(NamedTuple):
    """Names of what is known of the rows."""

    num_new: str
    anew: str
    """BOOL [rows, 1]: starts at zero, whatever its state."""
    idle: str
    """BOOL [rows, 1]: keeps its state."""


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
        rows = Rows(inputs.num_new, self._is_zero(inputs.num_cached), self._is_zero(inputs.num_new))
        for level, layer in enumerate(network.layers):
            assert isinstance(layer, nn.LSTM)
            x = self._layer(x, level, layer, rows)
        by_row = builder.add("Transpose", x, perm=[1, 0, 2])
        is_shared = self._form.weights == "whole"
        projected = self._project(by_row, inputs)
        add_logits(builder, projected, network.embedding.weight, "shared" if is_shared else "own")
        return builder.model("decoder")

    def _is_zero(self, counts: str) -> str:
        """[rows] → [rows, 1]: is it zero?"""
        builder = self._builder
        column = builder.add("Unsqueeze", counts, builder.integers([1]))
        return builder.add("Equal", column, builder.integers(0, "int32"))

    def _layer(self, x: str, level: int, layer: nn.LSTM, rows: Rows) -> str:
        """x [length, rows, in] → [length, rows, hidden]; the state takes the new tokens in."""
        builder = self._builder
        shape: list[Size] = [ROWS, layer.hidden_size]
        zero = builder.weight("zero", np.zeros(1, np.float32))
        states = [f"hidden_{level}", f"cell_{level}"]
        pasts = [builder.input(PAST + state, builder.state_dtype, shape) for state in states]
        started = [builder.add("Where", rows.anew, zero, past) for past in pasts]
        # ONNX Runtime has no kernel of the operator in bfloat16.
        is_whole = self._form.weights == "whole" and self._form.float_type != "bf16"
        recur = recur_by_operator if is_whole else recur_by_products
        y, *finals = recur(builder, x, layer, level, rows.num_new, started)
        for state, past, final in zip(states, pasts, finals, strict=True):
            present = builder.output(PRESENT + state, builder.state_dtype, shape)
            builder.add("Where", rows.idle, past, final, output=present)
        return y

    def _project(self, x: str, inputs: DecoderInputs) -> str:
        """x [rows, length, hidden] → what the head takes, of the wanted tokens [n, width]."""
        builder, projection = self._builder, self._network.projection
        wanted = builder.add("GatherND", x, inputs.wanted)
        weight = builder.weight("projection", array_of(projection.weight.T))
        bias = builder.weight("projection_bias", array_of(projection.bias))
        return builder.add("Add", builder.add("MatMul", wanted, weight), bias)
