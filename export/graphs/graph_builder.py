"""An ONNX graph under construction: nodes and weights in the order in which they are added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.task import Array

OPSET, CONTRIB_OPSET, IR_VERSION = 21, 1, 10
CONTRIB = "com.microsoft"
FloatType = Literal["fp32", "fp16", "bf16"]
"""What weights, states and everything between them are made of."""
MAX_INLINE_BYTES = 2**30
"""A protobuf ends at 2 GiB: weights of more than this lie in a file beside the graph."""
WEIGHTS_SUFFIX = ".weights"
Size = int | str
"""Of an axis: a number, or the name of one that is free."""
NUMPY_TYPES: dict[FloatType, Any] = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}
ELEMENT_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "FP32": TensorProto.FLOAT,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
}


class GraphBuilder:
    """Names results by itself; callers name only what stands in the interface."""

    def __init__(self, float_type: FloatType = "fp32", prefix: str = "") -> None:
        """`prefix`: of all names that it makes up, for the body of a loop."""
        self._prefix = prefix
        self._numpy_type = np.dtype(NUMPY_TYPES[float_type])
        self.float_type = float_type
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._weights: dict[str, Any] = {}

    @property
    def state_dtype(self) -> str:
        """Of a tensor in the graph's own float type, in the words of the Open Inference Protocol."""
        return self.float_type.upper()

    def input(self, name: str, dtype: str, shape: Sequence[Size]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], list(shape)))
        return name

    def output(self, name: str, dtype: str, shape: Sequence[Size]) -> str:
        """Declares one; a node must give it."""
        self._outputs.append(helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], list(shape)))
        return name

    def weight(self, name: str, value: Array) -> str:
        """Floats are brought to the graph's type. The same name is the same weight."""
        if name not in self._weights:
            kept = value.astype(self._numpy_type) if value.dtype.kind == "f" else value
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(kept), name)
        return name

    def integers(self, values: Sequence[int] | int, dtype: str = "int64") -> str:
        """A small constant."""
        array = np.array(values, dtype)
        return self.weight(f"{dtype}_{'x'.join(map(str, np.atleast_1d(array)))}_{array.ndim}", array)

    def add(self, op: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """One node with one result."""
        return self.add_many(op, *inputs, outputs=(output,), domain=domain, **attributes)[0]

    def add_many(self, op: str, *inputs: str, outputs: Sequence[str], domain: str = "", **attributes: Any) -> list[str]:
        """One node with several results; an empty name is made up."""
        names = [name or f"{self._prefix}{op}_{len(self._nodes)}_{index}" for index, name in enumerate(outputs)]
        return self.add_sparse(op, *inputs, outputs=names, domain=domain, **attributes)

    def add_sparse(
        self, op: str, *inputs: str, outputs: Sequence[str], domain: str = "", **attributes: Any
    ) -> list[str]:
        """The same; a result with an empty name is left out."""
        label, names = f"{self._prefix}{op}_{len(self._nodes)}", list(outputs)
        self._nodes.append(helper.make_node(op, list(inputs), names, name=label, domain=domain, **attributes))
        return names

    def body(self, name: str) -> Any:
        """The GraphProto alone: of a loop, which may read what stands outside it."""
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._weights.values()))

    def model(self, name: str) -> Any:
        """The finished ModelProto."""
        graph = self.body(name)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def save_graph(model: Any, path: Path) -> None:
    """Weights go into <path>.weights where one file can not hold them."""
    if sum(len(each.raw_data) for each in model.graph.initializer) <= MAX_INLINE_BYTES:
        onnx.save(model, path)
        return
    beside = f"{path.name}{WEIGHTS_SUFFIX}"
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=beside)
