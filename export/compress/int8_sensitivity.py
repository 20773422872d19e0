"""Which layers suffer most from eight bits: each is quantized alone, and what that adds to the outputs is measured.

One graph serves for all of it. Every layer of it has a switch between its weights and inputs as they are and as bytes
leave them, so that any set of layers can be tried without another graph. Noise is measured where the float end of the
network begins: behind it, in sorted boxes, say, a little noise changes places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export.compress.prepared_graph import find_layers, find_tail
from tasks.task import Array
from training.progress import track

SWITCHES = "layers_in_bytes"
MAX_BATCHES = 2
"""Of calibration data: an order of layers takes less of it than their ranges do."""
MAX_SQNR_DB = 100.0
"""Of a layer that loses nothing."""


class LayerNoise(msgspec.Struct, frozen=True, kw_only=True):
    """`sqnr_db`: signal over noise in the outputs when this layer alone is in bytes; more is better."""

    layer: str
    sqnr_db: float


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `layers`: the most sensitive first. `in_float`: those that stay in float. `sqnr_db_before` and
    `sqnr_db_after`: with all layers in bytes, and without these."""

    layers: tuple[LayerNoise, ...]
    in_float: tuple[str, ...]
    sqnr_db_before: float
    sqnr_db_after: float

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


@dataclass(frozen=True)
class ByteLayer:
    """What bytes do to a layer: the range of its input as (scale, zero point), and its weights."""

    name: str
    scale: Array
    zero_point: Array
    weights: Array
    """As they come back from bytes."""


def find_sensitive(
    plain: Any, quantized: Any, batches: Sequence[Mapping[str, Array]], min_sqnr_db: float, max_layers: int
) -> Sensitivity:
    """`plain`: a prepared float32 graph; `quantized`: the same with all its layers in bytes, up to the last ones."""
    layers = byte_layers(quantized.graph, {node.name for node in find_layers(plain.graph)})
    trial = SwitchedTrial(plain, layers, batches[:MAX_BATCHES])
    alone = [
        LayerNoise(layer=layer.name, sqnr_db=trial.sqnr_db({index}))
        for index, layer in track(enumerate(layers), "looking for sensitive layers", len(layers))
    ]
    order = sorted(range(len(layers)), key=lambda index: alone[index].sqnr_db)
    in_bytes, in_float = set(order), []
    before = after = trial.sqnr_db(in_bytes)
    for index in order[:max_layers]:
        if after >= min_sqnr_db:
            break
        in_bytes.remove(index)
        in_float.append(layers[index].name)
        after = trial.sqnr_db(in_bytes)
    return Sensitivity(
        layers=tuple(alone[index] for index in order),
        in_float=tuple(in_float),
        sqnr_db_before=before,
        sqnr_db_after=after,
    )


def byte_layers(graph: Any, names: Collection[str]) -> list[ByteLayer]:
    """Those layers of a QDQ graph whose input and weights come out of bytes."""
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    sources = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    found = []
    for node in graph.node:
        ends = [sources.get(name) for name in node.input[:2]]
        if node.name not in names or ends[0] is None or ends[1] is None:
            continue
        scale, zero_point = (constants[name] for name in ends[0].input[1:3])
        weights, *range_of = (constants[name] for name in ends[1].input)
        axis = next((each.i for each in ends[1].attribute if each.name == "axis"), 1)
        shape = [-1 if i == axis else 1 for i in range(weights.ndim)] if range_of[0].ndim else []
        scales, zeros = (each.reshape(shape) for each in range_of)
        floats = ((weights.astype(np.int32) - zeros.astype(np.int32)) * scales).astype(np.float32)
        found.append(ByteLayer(node.name, scale, zero_point, floats))
    return found


class SwitchedTrial:
    """A graph with a switch for every layer, and what it answers when none is in bytes."""

    def __init__(self, plain: Any, layers: Sequence[ByteLayer], batches: Sequence[Mapping[str, Array]]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        # Beyond this level pairs of quantizers are moved about, and these here are to stay.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        model = add_switches(plain, layers).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._num_layers, self._batches = len(layers), batches
        self._expected = self._run(set())

    def sqnr_db(self, in_bytes: set[int]) -> float:
        """Signal over noise when these layers are in bytes, by the output that has most noise. The signal is what
        differs from picture to picture."""
        found = self._run(in_bytes)
        shares = [
            float(((output - wanted) ** 2).mean() / max(1e-20, ((wanted - wanted.mean(0)) ** 2).mean()))
            for output, wanted in zip(found, self._expected, strict=True)
        ]
        return float(min(MAX_SQNR_DB, -10 * np.log10(max(1e-20, *shares))))

    def _run(self, in_bytes: set[int]) -> list[Array]:
        switches = np.array([index in in_bytes for index in range(self._num_layers)])
        answers = [self._session.run(None, {**batch, SWITCHES: switches}) for batch in self._batches]
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def add_switches(plain: Any, layers: Sequence[ByteLayer]) -> Any:
    """The float graph up to the outputs of its last layers, with the input SWITCHES, BOOL [layers]."""
    model = onnx.ModelProto()
    model.CopyFrom(plain)
    graph, tail = model.graph, set(find_tail(plain.graph))
    ends = [node.output[0] for node in find_layers(graph) if node.name in tail]
    places = {layer.name: index for index, layer in enumerate(layers)}
    nodes = []
    for node in graph.node:
        if node.name in places:
            index = places[node.name]
            nodes += switch(graph, node, index, layers[index])
        nodes.append(node)
    graph.ClearField("node")
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(SWITCHES, TensorProto.BOOL, [len(layers)]))
    graph.ClearField("output")
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends)
    return model


def switch(graph: Any, node: Any, index: int, layer: ByteLayer) -> list[Any]:
    """The nodes that stand before a layer, which reads theirs instead of its own inputs from now on."""
    own = f"{SWITCHES}_{index}"
    constants = {"scale": layer.scale, "zero": layer.zero_point, "weights": layer.weights, "index": np.array(index)}
    graph.initializer.extend(numpy_helper.from_array(value, f"{own}_{name}") for name, value in constants.items())
    pixels, weights = node.input[0], node.input[1]
    node.input[0], node.input[1] = f"{own}_input_seen", f"{own}_weights_seen"
    rounding = [f"{own}_scale", f"{own}_zero"]
    return [
        helper.make_node("Gather", [SWITCHES, f"{own}_index"], [f"{own}_is_on"]),
        helper.make_node("QuantizeLinear", [pixels, *rounding], [f"{own}_bytes"]),
        helper.make_node("DequantizeLinear", [f"{own}_bytes", *rounding], [f"{own}_rounded"]),
        helper.make_node("Where", [f"{own}_is_on", f"{own}_rounded", pixels], [node.input[0]]),
        helper.make_node("Where", [f"{own}_is_on", f"{own}_weights", weights], [node.input[1]]),
    ]
