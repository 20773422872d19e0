"""Weights of 4 or 8 bits: blocks along the input of every layer, each with a scale of its own (MatMulNBits).

Activations become bytes too (accuracy level 4), in the same blocks, token by token. ONNX Runtime's other way to int8,
MatMulInteger behind DynamicQuantizeLinear, takes one scale for the whole batch: a token's logits then depend on what
else is in the batch, by 12 % of their standard deviation in a small Llama, and no seed gives the same text twice.

Models that answer at once take them too where most of their work is in matrix products: transformers of pictures.

Embeddings that the network ties to its head are read from the head's blocks: for a small Llama that halves the file, at
0.1 % more bits per byte with four bits and nothing with eight. Other embeddings stay in float: a step reads one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from onnx import helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from export.compress.matrix_products import product_share, split_gemms
from export.compress.prepared_graph import prepare_graph
from export.compress.technique import GraphTechnique
from export.graphs.decoder_io import EMBEDDING, HEAD
from export.graphs.graph_builder import CONTRIB, save_graph
from export.to_onnx import quiet
from registry.manifest import Precision
from tasks.errors import InvalidRecipe
from tasks.task import Array

INT8_ACTIVATIONS = 4
"""The accuracy level of MatMulNBits at which it multiplies bytes."""


MIN_SHARE = 0.2
"""Of the weights, in matrix products: with less of them next to nothing would change."""


class BlockWeights(GraphTechnique, frozen=True, kw_only=True):
    """`block_size`: weights that share a scale."""

    bits: ClassVar[Literal[4, 8]]
    block_size: Literal[16, 32, 64, 128] = 32

    def compress_graph(self, source: Path, target: Path, batches: Sequence[Mapping[str, Array]]) -> None:
        model = prepare_graph(source)
        split_gemms(model.graph)
        share = product_share(model.graph)
        if share < MIN_SHARE:
            raise InvalidRecipe(
                f"{self.bits} bits in blocks are for the weights of matrix products, and of this graph's weights "
                f"{share:.0%} are in such products, less than {MIN_SHARE:.0%}: its work is in convolutions. Take "
                "int8_static"
            )
        save_graph(in_blocks(model, self), target)


class Int8Dynamic(BlockWeights, frozen=True, kw_only=True, tag="int8_dynamic"):
    """Weights and activations in bytes, scales of activations worked out for each token on its way."""

    precision: ClassVar[Precision | None] = "int8"
    bits: ClassVar[Literal[4, 8]] = 8


class Int4Weights(BlockWeights, frozen=True, kw_only=True, tag="int4_weights"):
    """Weights of four bits."""

    precision: ClassVar[Precision | None] = "int4"
    bits: ClassVar[Literal[4, 8]] = 4


def quantize_blocks(model: Any, config: BlockWeights) -> Any:
    """A float32 decoder graph of compressible weights → the same graph with compressed layers."""
    tied = is_tied(model)
    compressed = in_blocks(model, config)
    if tied:
        share_table(compressed.graph, config.bits, config.block_size)
    return compressed


def in_blocks(model: Any, config: BlockWeights) -> Any:
    """Any float32 graph → the same with the weights of its matrix products in blocks."""
    with quiet():
        quantizer = MatMulNBitsQuantizer(
            model,
            bits=config.bits,
            block_size=config.block_size,
            is_symmetric=True,
            accuracy_level=INT8_ACTIVATIONS,
        )
        quantizer.process()
    return quantizer.model.model


def is_tied(model: Any) -> bool:
    """Is the head the embeddings again?"""
    weights = {each.name: each for each in model.graph.initializer}
    embedding, head = (numpy_helper.to_array(weights[name]) for name in (EMBEDDING, HEAD))
    return embedding.shape == head.T.shape and np.array_equal(embedding, head.T)


def share_table(graph: Any, bits: int, block_size: int) -> None:
    """Looks embeddings up in the head's blocks [vocabulary, blocks, bytes], which stand in the same order."""
    product = next(node for node in graph.node if node.op_type == "MatMulNBits" and node.input[1].startswith(HEAD))
    lookup = next(node for node in graph.node if node.op_type == "Gather" and node.input[0] == EMBEDDING)
    floats = next(each for each in graph.initializer if each.name == EMBEDDING)
    rows = numpy_helper.from_array(np.array([floats.dims[0], -1]), f"{HEAD}_rows")
    blocks, scales = (f"{EMBEDDING}_{name}" for name in ("blocks", "scales"))
    replacement = [
        helper.make_node("Reshape", [product.input[1], rows.name], [blocks], name=f"Reshape_{blocks}"),
        helper.make_node("Reshape", [product.input[2], rows.name], [scales], name=f"Reshape_{scales}"),
        helper.make_node(
            "GatherBlockQuantized",
            [blocks, lookup.input[1], scales],
            list(lookup.output),
            name=lookup.name,
            domain=CONTRIB,
            bits=bits,
            block_size=block_size,
            gather_axis=0,
            quantize_axis=1,
        ),
    ]
    place = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    for offset, node in enumerate(replacement):
        graph.node.insert(place + offset, node)
    graph.initializer.append(rows)
    graph.initializer.remove(floats)
