"""What the decoder graphs of all architectures have in common: their inputs, the first layer and the last."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor, nn

from export.compress.factors import LinearFactors
from export.graphs.graph_builder import ELEMENT_TYPES, GraphBuilder
from registry.decoder_interface import FEATURE_TOKEN, FEATURES, LOGITS, NUM_CACHED, NUM_NEW, TOKENS, WANTED
from tasks.task import Array

ROWS, LENGTH, COUNT = "rows", "length", "n"
"""Names of the free axes."""
EMBEDDING, HEAD = "embedding", "head"
"""Names of the weights that some networks tie."""


class DecoderInputs(NamedTuple):
    """Names of the graph's inputs; the states follow."""

    tokens: str
    num_cached: str
    num_new: str
    wanted: str


def add_inputs(builder: GraphBuilder) -> DecoderInputs:
    return DecoderInputs(
        tokens=builder.input(TOKENS, "INT64", [ROWS, LENGTH]),
        num_cached=builder.input(NUM_CACHED, "INT32", [ROWS]),
        num_new=builder.input(NUM_NEW, "INT32", [ROWS]),
        wanted=builder.input(WANTED, "INT64", [COUNT, 2]),
    )


def embed(builder: GraphBuilder, tokens: str, table: Tensor) -> str:
    """tokens [rows, length] → their embeddings [rows, length, width]."""
    return builder.add("Gather", builder.weight(EMBEDDING, array_of(table)), tokens, axis=0)


def embed_with_features(builder: GraphBuilder, tokens: str, table: Tensor) -> str:
    """The same, with a row of the input `features` wherever a token is −1."""
    features = builder.input(FEATURES, "FP32", [ROWS, LENGTH, table.shape[1]])
    if builder.float_type != "fp32":
        features = builder.add("Cast", features, to=ELEMENT_TYPES[builder.state_dtype])
    is_feature = builder.add("Equal", tokens, builder.integers(FEATURE_TOKEN))
    known = builder.add("Max", tokens, builder.integers(0))
    mask = builder.add("Unsqueeze", is_feature, builder.integers([2]))
    return builder.add("Where", mask, features, embed(builder, known, table))


def add_logits(builder: GraphBuilder, x: str, head: Tensor, kept: Literal["shared", "own"]) -> None:
    """x [n, width], head [vocabulary, width] → the output `logits`. A shared head is the weight of the embeddings, read
    the other way round."""
    output = builder.output(LOGITS, "FP32", [COUNT, head.shape[0]])
    own = output if builder.float_type == "fp32" else ""
    if kept == "shared":
        logits = builder.add("Gemm", x, EMBEDDING, output=own, transB=1)
    else:
        logits = project(builder, x, HEAD, head, output=own)
    if not own:
        builder.add("Cast", logits, output=output, to=ELEMENT_TYPES["FP32"])


def project(builder: GraphBuilder, x: str, name: str, weight: Tensor, output: str = "") -> str:
    """x [..., in] times a linear layer's weight [out, in] → [..., out]."""
    return builder.add("MatMul", x, builder.weight(name, array_of(weight.T)), output=output)


def project_layer(builder: GraphBuilder, x: str, name: str, layer: nn.Module) -> str:
    """x [..., in] through a linear layer without bias → [..., out]; through two where its rank was lowered."""
    if isinstance(layer, LinearFactors):
        return project(builder, project(builder, x, f"{name}_first", layer.first.weight), name, layer.second.weight)
    assert isinstance(layer, nn.Linear)
    return project(builder, x, name, layer.weight)


def array_of(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return np.ascontiguousarray(array)
