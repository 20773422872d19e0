"""A float32 graph → the same in 16 bits: weights, and what passes between nodes.

Inputs and outputs stay as they are, and so does everything behind the last layers with weights: what follows them is
little work, and takes coordinates and shares apart that 16 bits can not tell from each other. A node that has no such
form stays in float32 between two casts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from export.compress.half_operators import BF16_OPERATORS, FLOAT_OPERATORS
from export.compress.prepared_graph import find_layers, find_tail, name_nodes
from tasks.errors import InvalidRecipe
from tasks.task import Array

HalfType = Literal["fp16", "bf16"]
ELEMENT_TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
NUMPY_TYPES: dict[str, Any] = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}
BF16_OPSET = 22
"""The first in which convolutions and pooling take bfloat16."""


def convert_to_half(model: Any, half: HalfType) -> Any:
    """`model`: as `prepare_graph` gives it. Raises InvalidRecipe where no layer can be converted."""
    if half == "bf16":
        model = at_opset(model, BF16_OPSET)
    return HalfConverter(model, half).convert()


def at_opset(model: Any, opset: int) -> Any:
    """The model at least at this version of the standard's operators. Raises InvalidRecipe."""
    if versions_of(model)[""] >= opset:
        return model
    try:
        raised = version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises what its C++ raises
        raise InvalidRecipe(f"bf16 takes opset {opset}, and the graph can not be brought there: {error}") from error
    name_nodes(raised.graph)
    return raised


def versions_of(model: Any) -> dict[str, int]:
    """Domain → version."""
    return {each.domain if each.domain != "ai.onnx" else "": each.version for each in model.opset_import}


class HalfConverter:
    """Converts one graph; used once. A value keeps its name in float32, and has another in 16 bits; each form is made
    where somebody first wants it."""

    def __init__(self, model: Any, half: HalfType) -> None:
        self._model, self._half = shape_inference.infer_shapes(model, data_prop=True), half
        graph = self._model.graph
        self._versions = versions_of(self._model)
        self._floats = float_values(graph)
        self._weights = {each.name: each for each in graph.initializer if each.data_type == TensorProto.FLOAT}
        layers = {node.name for node in find_layers(graph)}
        self._kept = set(find_tail(graph)) - layers
        self._in_float = {each.name for each in graph.input} & self._floats
        self._in_half: dict[str, str] = {}
        self._nodes: list[Any] = []
        self._half_weights: list[Any] = []

    def convert(self) -> Any:
        graph = self._model.graph
        num_layers = 0
        layers = {node.name for node in find_layers(graph)}
        for node in graph.node:
            if self._can_convert(node):
                self._add_in_half(node)
                num_layers += node.name in layers
            else:
                self._add_in_float(node)
        if not num_layers:
            raise InvalidRecipe(f"the graph has no layer with float32 weights that could be converted to {self._half}")
        for output in graph.output:
            if output.name in self._floats:
                self._in_float_form(output.name)
        wanted = {name for node in self._nodes for name in read_by(node)} | {each.name for each in graph.output}
        kept = [each for each in graph.initializer if each.name in wanted]
        for field, values in (("node", self._nodes), ("initializer", [*kept, *self._half_weights])):
            graph.ClearField(field)
            getattr(graph, field).extend(values)
        graph.ClearField("value_info")
        return self._model

    def _can_convert(self, node: Any) -> bool:
        if node.name in self._kept or node.op_type in FLOAT_OPERATORS or node.domain not in ("", "ai.onnx"):
            return False
        if self._half == "bf16" and node.op_type not in BF16_OPERATORS:
            return False
        if node.op_type == "Cast":
            return attribute_of(node, "to") == int(TensorProto.FLOAT)
        # What gives floats must give them in 16 bits; of inputs the first decides, and others may ask for float32.
        inputs = [index for index, name in enumerate(node.input) if name in self._floats]
        outputs = [index for index, name in enumerate(node.output) if name in self._floats]
        schema = self._schema(node)
        allowed = [self._allows(schema, schema.outputs, index) for index in outputs]
        allowed += [self._allows(schema, schema.inputs, index) for index in inputs[:1]]
        return bool(allowed) and all(allowed)

    def _schema(self, node: Any) -> Any:
        return onnx.defs.get_schema(node.op_type, self._versions[""], "")

    def _allows(self, schema: Any, formals: Any, index: int) -> bool:
        """May this input or output be of the 16-bit type?"""
        wanted = "tensor(float16)" if self._half == "fp16" else "tensor(bfloat16)"
        formal = formals[min(index, len(formals) - 1)]
        allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
        return wanted in allowed.get(formal.type_str, [formal.type_str])

    def _add_in_half(self, node: Any) -> None:
        converted = onnx.NodeProto()
        converted.CopyFrom(node)
        schema = self._schema(node)
        for index, name in enumerate(node.input):
            if name in self._floats and node.op_type != "Cast" and self._allows(schema, schema.inputs, index):
                converted.input[index] = self._half_form(name)
            elif name in self._floats:
                self._in_float_form(name)
        for index, name in enumerate(node.output):
            if name in self._floats:
                converted.output[index] = self._in_half[name] = f"{name}_{self._half}"
        for attribute in converted.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = ELEMENT_TYPES[self._half]
        self._nodes.append(converted)

    def _add_in_float(self, node: Any) -> None:
        for name in sorted(read_by(node)):
            if name in self._floats:
                self._in_float_form(name)
        self._in_float.update(name for name in node.output if name in self._floats)
        self._nodes.append(node)

    def _in_float_form(self, name: str) -> None:
        """Sees to it that there is a float32 form."""
        if name in self._in_float or name in self._weights:
            return
        self._in_float.add(name)
        self._cast(self._in_half[name], name, TensorProto.FLOAT)

    def _half_form(self, name: str) -> str:
        """The name of the 16-bit form."""
        if name not in self._in_half:
            self._in_half[name] = half_name = f"{name}_{self._half}"
            if name in self._weights:
                weights = to_half(numpy_helper.to_array(self._weights[name]), self._half)
                self._half_weights.append(numpy_helper.from_array(weights, half_name))
            else:
                self._cast(name, half_name, ELEMENT_TYPES[self._half])
        return self._in_half[name]

    def _cast(self, source: str, target: str, element_type: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [target], f"Cast_to_{target}", to=element_type))


def to_half(values: Array, half: HalfType) -> Array:
    """The nearest numbers of the type. What is too large becomes its largest number, not infinity (masks are made of
    such numbers), and what is too small its smallest, not zero (nobody divides by zero then)."""
    kind = NUMPY_TYPES[half]
    facts = ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]
    largest, smallest = float(facts.max), float(facts.smallest_subnormal)
    bounded = np.where(np.isfinite(values), np.clip(values, -largest, largest), values)
    lifted = np.where((bounded != 0) & (np.abs(bounded) < smallest), np.copysign(smallest, bounded), bounded)
    converted: Array = lifted.astype(kind)
    return converted


def float_values(graph: Any) -> set[str]:
    """Names of the float32 tensors of a graph whose types were inferred."""
    found = {each.name for each in graph.initializer if each.data_type == TensorProto.FLOAT}
    for each in (*graph.input, *graph.output, *graph.value_info):
        if each.type.HasField("tensor_type") and each.type.tensor_type.elem_type == TensorProto.FLOAT:
            found.add(each.name)
    return found


def read_by(node: Any) -> set[str]:
    """Names that a node reads, those in its bodies included."""
    bodies: Iterable[Any] = (each.g for each in node.attribute if each.type == onnx.AttributeProto.GRAPH)
    inside = {name for body in bodies for child in body.node for name in read_by(child)}
    outputs_inside = {each.name for a in node.attribute if a.type == onnx.AttributeProto.GRAPH for each in a.g.output}
    return ({*node.input} | inside | outputs_inside) - {""}


def attribute_of(node: Any, name: str) -> int:
    return next(int(each.i) for each in node.attribute if each.name == name)
