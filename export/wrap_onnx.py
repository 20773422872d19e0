"""Surgery on a foreign ONNX graph: uint8 NHWC in with normalisation inside, `logits` and `embedding` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.import_facts import InputFacts, OutputFacts
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.task import Array

PREFIX = "tidegate_"
TINY = 1e-12
MIN_OPSET = 13
"""Per-channel QuantizeLinear starts here."""


def modernise(model: Any) -> Any:
    """The same graph at an opset that can be quantized. Raises BadInput where the converter gives up."""
    current = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
    if current >= MIN_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, MIN_OPSET)
    except Exception as error:  # the converter raises whatever its C++ side throws
        raise BadInput(f"the graph has opset {current} and can not be converted to {MIN_OPSET}: {error}") from error


def find_input(model: Any, image: ImageSpec, facts: InputFacts) -> Any:
    """The one picture input. Raises BadInput if it is not a picture of the size and layout that the facts give."""
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    if len(inputs) != 1:
        raise BadInput(f"the graph takes {len(inputs)} inputs ({[i.name for i in inputs]}); a classifier takes one")
    shape = shape_of(inputs[0])
    if len(shape) != 4:
        raise BadInput(
            f"input {inputs[0].name!r} has {len(shape)} axes {shape}; a picture has 4, as in [1, 3, 224, 224]"
        )
    nchw = facts.layout == "nchw"
    wanted = [3, image.height, image.width] if nchw else [image.height, image.width, 3]
    if any(size not in (-1, expected) for size, expected in zip(shape[1:], wanted, strict=True)):
        raise BadInput(
            f"input {inputs[0].name!r} is {shape}, but image and input.layout = {facts.layout!r} say {[-1, *wanted]}"
        )
    return inputs[0]


def shape_of(value: Any) -> list[int]:
    """Sizes of a graph input or output; −1 where free."""
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]


def expose(model: Any, names: Sequence[str]) -> Any:
    """A copy whose outputs are these tensors of the graph, inner ones included. Raises BadInput for an unknown one."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {name for node in model.graph.node for name in node.output}
    for name in names:
        if name not in known:
            raise BadInput(f"the graph has no tensor {name!r}; its outputs are {[o.name for o in model.graph.output]}")
    declared = {each.name: each for each in [*model.graph.value_info, *model.graph.output]}
    del exposed.graph.output[:]
    unique = list(dict.fromkeys(names))
    exposed.graph.output.extend(declared.get(n) or helper.make_empty_tensor_value_info(n) for n in unique)
    return exposed


def free_batch(model: Any) -> Any:
    """A copy that claims any batch size. Whether that is true is for the caller to try."""
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    for value in [*freed.graph.input, *freed.graph.output]:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].Clear()
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del freed.graph.value_info[:]
    return freed


class AnswerShape(NamedTuple):
    """What the model answers: how many scores, the embedding's axes in the graph, and its size once flat."""

    num_scores: int
    embedding_rank: int
    embedding_dim: int


def wrap_graph(
    model: Any, picture: Any, image: ImageSpec, facts: InputFacts, outputs: OutputFacts, answer: AnswerShape
) -> Any:
    """A copy with `image` UINT8 [batch, height, width, 3] in front and `logits`, `embedding` behind.

    `model` has the tensors of scores and embedding (possibly the same) as its outputs.
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    batch = graph.input[0].type.tensor_type.shape.dim[0]
    size: Any = batch.dim_value if batch.HasField("dim_value") else "batch"
    scores, embedding = graph.output[0].name, graph.output[-1].name
    nodes = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(entry_nodes(picture, facts))
    graph.node.extend(nodes)
    graph.node.extend(score_nodes(scores, outputs))
    graph.node.extend(embedding_nodes("logits" if embedding == scores else embedding, answer.embedding_rank))
    used = {name for node in graph.node for name in node.input}
    added = {PREFIX + name: value for name, value in constants(facts).items()}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in added.items() if name in used)
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, [size, image.height, image.width, 3]))
    for name, dim in (("logits", answer.num_scores), ("embedding", answer.embedding_dim)):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, dim]))
    return wrapped


def constants(facts: InputFacts) -> dict[str, Array]:
    """x · multiplier − offset equals (x · rescale − mean) / std."""
    std = np.array(facts.std, np.float32)
    return {
        "multiplier": (np.float32(facts.rescale) / std).astype(np.float32),
        "offset": (np.array(facts.mean, np.float32) / std).astype(np.float32),
        "reversed": np.array([2, 1, 0], np.int64),
        "tiny": np.array(TINY, np.float32),
    }


def entry_nodes(picture: Any, facts: InputFacts) -> list[Any]:
    """From `image` to the graph's own input tensor."""
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if facts.channels == "bgr":
        steps.append(("Gather", [PREFIX + "reversed"], {"axis": 3}))
    if not facts.is_identity:
        steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
        steps.append(("Mul", [PREFIX + "multiplier"], {}))
        steps.append(("Sub", [PREFIX + "offset"], {}))
    if facts.layout == "nchw":
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    steps.append(("Cast", [], {"to": picture.type.tensor_type.elem_type}))
    nodes, current = [], "image"
    for index, (kind, extra, attributes) in enumerate(steps):
        following = picture.name if index == len(steps) - 1 else f"{PREFIX}entry_{index}"
        nodes.append(helper.make_node(kind, [current, *extra], [following], f"{PREFIX}entry_{index}", **attributes))
        current = following
    return nodes


def score_nodes(scores: str, outputs: OutputFacts) -> list[Any]:
    """[batch, classes, 1, …] → `logits` FP32 [batch, classes]. The logarithm of probabilities are logits."""
    flat = [
        helper.make_node("Flatten", [scores], [PREFIX + "flat"], PREFIX + "flatten_scores", axis=1),
        helper.make_node("Cast", [PREFIX + "flat"], [PREFIX + "scores"], PREFIX + "cast_scores", to=TensorProto.FLOAT),
    ]
    if outputs.kind == "logits":
        return [*flat, helper.make_node("Identity", [PREFIX + "scores"], ["logits"], PREFIX + "name_scores")]
    return [
        *flat,
        helper.make_node("Max", [PREFIX + "scores", PREFIX + "tiny"], [PREFIX + "floored"], PREFIX + "floor_scores"),
        helper.make_node("Log", [PREFIX + "floored"], ["logits"], PREFIX + "log_scores"),
    ]


def embedding_nodes(source: str, rank: int) -> list[Any]:
    """[batch, channels, height, width] is averaged over space; anything else is flattened."""
    pooled = source if rank != 4 else PREFIX + "pooled"
    pool = [helper.make_node("GlobalAveragePool", [source], [pooled], PREFIX + "pool")] if rank == 4 else []
    return [
        *pool,
        helper.make_node("Flatten", [pooled], [PREFIX + "flat_embedding"], PREFIX + "flatten_embedding", axis=1),
        helper.make_node(
            "Cast", [PREFIX + "flat_embedding"], ["embedding"], PREFIX + "cast_embedding", to=TensorProto.FLOAT
        ),
    ]
