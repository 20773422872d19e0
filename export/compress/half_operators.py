"""Which operators take numbers of 16 bits, as far as the ONNX standard does not say."""

from __future__ import annotations

from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST

# fmt: off
MOVING = frozenset({
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape",
    "ScatterElements", "ScatterND", "Shape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})
"""Those that compute nothing: what they give is exactly what they took."""
BF16_OPERATORS = MOVING | {
    "Abs", "Add", "AveragePool", "Conv", "Div", "Equal", "Erf", "Exp", "Gelu", "Gemm", "Greater", "HardSigmoid",
    "HardSwish", "LayerNormalization", "Less", "MatMul", "Max", "Min", "Mul", "Neg", "Pow", "RMSNormalization",
    "ReduceSum", "Relu", "Sigmoid", "Softmax", "Sqrt", "Sub", "Sum", "Tanh", "Where",
}
"""Those for which ONNX Runtime's CUDA provider has bfloat16 kernels: it has none for pooling by maximum, clipping,
padding, resizing and means (its document BFloat16_Support.md lists them)."""
FLOAT_OPERATORS = frozenset(DEFAULT_OP_BLOCK_LIST) | {
    "ConcatFromSequence", "Constant", "ConstantOfShape", "DequantizeLinear", "DynamicQuantizeLinear", "EyeLike",
    "GridSample", "If", "Loop", "QuantizeLinear", "RandomNormal", "RandomUniform", "Scan", "SequenceAt",
    "SequenceConstruct", "SequenceInsert", "SplitToSequence",
}
"""Those that ONNX Runtime's own converter leaves in float32, and those whose attributes or bodies would have to change
along with their inputs."""
# fmt: on
