"""Weights of 4 or 8 bits: blocks along the input of every layer, each with a scale of its own (MatMulNBits).

Activations become bytes too (accuracy level 4), in the same blocks, token by token. ONNX Runtime's other way to int8,
MatMulInteger behind DynamicQuantizeLinear, takes one scale for the whole batch: a token's logits then depend on what
else is in the batch, by 12 % of their standard deviation in a small Llama, and no seed gives the same text twice.

Embeddings stay in float: a step reads one row of them, which costs no time.
"""

from __future__ import annotations

from typing import Any, Literal

from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from export.to_onnx import quiet

INT8_ACTIVATIONS = 4
"""The accuracy level of MatMulNBits at which it multiplies bytes."""


def quantize_blocks(model: Any, bits: Literal[4, 8], block_size: int) -> Any:
    """A float32 decoder graph, whose head is its own → the same graph with compressed layers."""
    with quiet():
        quantizer = MatMulNBitsQuantizer(
            model, bits=bits, block_size=block_size, is_symmetric=True, accuracy_level=INT8_ACTIVATIONS
        )
        quantizer.process()
    return quantizer.model.model
