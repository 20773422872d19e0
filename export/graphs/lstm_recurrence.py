"""One layer of an LSTM over padded rows, in two ways that compute the same.

The operator LSTM is quick on long prompts, but nothing can compress its weights. A loop over the places (Scan) with one
matrix product in it can have them in blocks of few bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from export.graphs.decoder_io import ROWS, array_of
from export.graphs.graph_builder import ELEMENT_TYPES, GraphBuilder
from tasks.task import Array

GATE_ORDER = (0, 3, 1, 2)
"""Of torch's gates i, f, g, o, those that ONNX wants: i, o, f, c."""


def recur_by_operator(
    builder: GraphBuilder, x: str, layer: nn.LSTM, level: int, num_new: str, started: Sequence[str]
) -> list[str]:
    """x [length, rows, in], `started`: hidden and cell [rows, hidden] → [length, rows, hidden], hidden, cell.

    Of a row without new tokens hidden and cell mean nothing."""
    # ONNX Runtime answers zeros for a row without tokens, and fails where there is none in any: each gets one.
    lengths = builder.add("Max", num_new, builder.integers([1], "int32"))
    initial = [builder.add("Unsqueeze", each, builder.integers([0])) for each in started]
    weights = [
        builder.weight(f"{name}_{level}", ordered(layer.get_parameter(f"weight_{name}_l0"))[None])
        for name in ("ih", "hh")
    ]
    biases = [ordered(layer.get_parameter(f"bias_{name}_l0")) for name in ("ih", "hh")]
    bias = builder.weight(f"bias_{level}", np.concatenate(biases)[None])
    y, *finals = builder.add_many(
        "LSTM", x, *weights, bias, lengths, *initial, outputs=["", "", ""], hidden_size=layer.hidden_size
    )
    moved = [builder.add("Squeeze", final, builder.integers([0])) for final in finals]
    return [builder.add("Squeeze", y, builder.integers([1])), *moved]


def ordered(gates: Tensor) -> Array:
    """[4 · hidden, …] in torch's order of gates → in that of ONNX."""
    parts = np.split(array_of(gates), 4)
    return np.concatenate([parts[gate] for gate in GATE_ORDER])


def recur_by_products(
    builder: GraphBuilder, x: str, layer: nn.LSTM, level: int, num_new: str, started: Sequence[str]
) -> list[str]:
    """The same. What the input adds to the gates is one product for all places."""
    weight = builder.weight(f"ih_{level}", array_of(layer.get_parameter("weight_ih_l0").T))
    bias = builder.weight(
        f"bias_{level}", array_of(layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0"))
    )
    gates = builder.add("Add", builder.add("MatMul", x, weight), bias)
    recurrent = builder.weight(f"hh_{level}", array_of(layer.get_parameter("weight_hh_l0").T))
    hidden, cell, y = builder.add_many(
        "Scan",
        *(*started, gates, is_meant(builder, gates, num_new)),
        outputs=["", "", ""],
        body=cell_body(builder, recurrent, layer.hidden_size, level),
        num_scan_inputs=2,
    )
    return [y, hidden, cell]


def is_meant(builder: GraphBuilder, gates: str, num_new: str) -> str:
    """BOOL [length, rows, 1]: does the place hold a token, or padding?"""
    length = builder.add("Squeeze", builder.add("Shape", gates, start=0, end=1), builder.integers([0]))
    places = builder.add("Range", builder.integers(0), length, builder.integers(1))
    column = builder.add("Unsqueeze", places, builder.integers([1]))
    counts = builder.add("Cast", num_new, to=ELEMENT_TYPES["INT64"])
    return builder.add("Unsqueeze", builder.add("Less", column, counts), builder.integers([2]))


def cell_body(outer: GraphBuilder, recurrent: str, hidden_size: int, level: int) -> object:
    """One place of all rows: hidden, cell [rows, hidden], gates [rows, 4 · hidden], meant [rows, 1] → hidden, cell, and
    hidden again as the answer. In padding the state stays."""
    prefix, kind = f"cell_{level}_", outer.state_dtype
    body = GraphBuilder(outer.float_type, prefix)
    hidden, cell = (body.input(f"{prefix}{name}_in", kind, [ROWS, hidden_size]) for name in ("hidden", "cell"))
    gates = body.input(f"{prefix}gates", kind, [ROWS, 4 * hidden_size])
    meant = body.input(f"{prefix}meant", "BOOL", [ROWS, 1])
    total = body.add("Add", gates, body.add("MatMul", hidden, recurrent))
    entry, forget, candidate, exit_ = body.add_many("Split", total, outputs=[""] * 4, axis=-1, num_outputs=4)
    kept = body.add("Mul", body.add("Sigmoid", forget), cell)
    taken = body.add("Mul", body.add("Sigmoid", entry), body.add("Tanh", candidate))
    new_cell = body.add("Add", kept, taken)
    new_hidden = body.add("Mul", body.add("Sigmoid", exit_), body.add("Tanh", new_cell))
    names = [body.output(f"{prefix}{name}", kind, [ROWS, hidden_size]) for name in ("hidden_out", "cell_out", "said")]
    body.add("Where", meant, new_hidden, hidden, output=names[0])
    body.add("Where", meant, new_cell, cell, output=names[1])
    body.add("Identity", new_hidden, output=names[2])
    return body.body(f"cell_{level}")
