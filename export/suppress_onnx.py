"""Non-maximum suppression appended to a detector's graph: candidates go in, finished detections come out.

They are those of `tasks.nms`, bit for bit: ONNX `NonMaxSuppression` is greedy by class, with strict comparisons in
float32, and ties are ranked alike (lower class first, then lower candidate). It answers a list over the whole batch,
ordered by picture and class, of a length that nobody knows. What survived is therefore scattered into a dense tensor
of every class and candidate, of which a top-K takes the best of each picture: all shapes but the batch stay fixed, and
a picture without any detection is no case of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from tasks.detection_spec import SuppressionInside
from tasks.errors import GateFailed

PREFIX = "suppression/"
SUPPRESSION = """
suppression (float[batch, {k}, 4] boxes, float[batch, {k}, {c}] scores) => (
  float[batch, {n}, 4] kept_boxes, float[batch, {n}] kept_scores, int64[batch, {n}] kept_class_ids,
  int64[batch] num_kept
) {{
  k = Constant <value_int = {k}> ()
  n = Constant <value_ints = [{n}]> ()
  first = Constant <value_ints = [0]> ()
  second = Constant <value_ints = [1]> ()
  third = Constant <value_ints = [2]> ()
  no_index = Constant <value_int = 0> ()
  no_score = Constant <value_float = 0.0> ()

  max_per_class = Constant <value_int = {n}> ()
  iou_threshold = Constant <value_float = {iou_threshold}> ()
  score_threshold = Constant <value_float = {score_threshold}> ()
  by_class = Transpose <perm = [0, 2, 1]> (scores)
  survivors = NonMaxSuppression (boxes, by_class, max_per_class, iou_threshold, score_threshold)

  picture = Gather <axis = 1> (survivors, first)
  class_id = Gather <axis = 1> (survivors, second)
  candidate = Gather <axis = 1> (survivors, third)
  class_start = Mul (class_id, k)
  place = Add (class_start, candidate)
  picture_and_place = Concat <axis = 1> (picture, place)
  flat = Constant <value_ints = [0, {places}]> ()
  flat_scores = Reshape (by_class, flat)
  survivor_scores = GatherND (flat_scores, picture_and_place)
  batch_size = Shape <start = 0, end = 1> (boxes)
  width = Constant <value_ints = [{width}]> ()
  dense_shape = Concat <axis = 0> (batch_size, width)
  nothing = ConstantOfShape <value = float[1] {{-1.0}}> (dense_shape)
  dense = ScatterND (nothing, picture_and_place, survivor_scores)

  best_scores, best_places = TopK <axis = 1> (dense, n)
  is_kept = Greater (best_scores, no_score)
  kept_scores = Where (is_kept, best_scores, no_score)
  kept_places = Where (is_kept, best_places, no_index)
  kept_class_ids = Div (kept_places, k)
  kept_class_starts = Mul (kept_class_ids, k)
  kept_candidates = Sub (kept_places, kept_class_starts)
  kept_rows = Unsqueeze (kept_candidates, third)
  best_boxes = GatherND <batch_dims = 1> (boxes, kept_rows)
  is_kept_box = Unsqueeze (is_kept, third)
  kept_boxes = Where (is_kept_box, best_boxes, no_score)
  one_each = Cast <to = 7> (is_kept)
  num_kept = ReduceSum <keepdims = 0> (one_each, second)
}}
"""
"""In ONNX's own notation. A place of the dense tensor stands for a pair, class · K + candidate; where nothing survived
it holds −1, and it is at least as wide as the top-K. A score that survived lies above a threshold, hence above 0."""


class Candidates(NamedTuple):
    """What a graph answers to one picture: `num_candidates` boxes, with a score for each of `num_classes`. `batch` is
    the size of the batch axis, or its name where it is free."""

    batch: int | str
    num_candidates: int
    num_classes: int


def append_suppression(source: Path, target: Path, inside: SuppressionInside) -> None:
    """`boxes` [B, K, 4] and `scores` [B, K, C] of the graph → `kept_boxes` FP32 [B, N, 4], `kept_scores` FP32 [B, N],
    `kept_class_ids` INT64 [B, N] and `num_kept` INT64 [B]; best first, padded with zeros to N = `max_detections`.

    All other outputs stay as they are. Raises GateFailed for a graph that does not end in a fixed number of candidates.
    """
    model = onnx.load(source)
    found = find_candidates(model, source.name)
    suppression = write_suppression(found, inside)
    others = [each for each in model.graph.output if each.name not in ("boxes", "scores")]
    del model.graph.output[:]
    model.graph.node.extend(suppression.node)
    model.graph.output.extend([*suppression.output, *others])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def find_candidates(model: Any, name: str) -> Candidates:
    """Sizes of the outputs `boxes` and `scores`. Raises GateFailed where one is missing, or K or C is not fixed."""
    shapes = {
        each.name: [dim.dim_value or dim.dim_param for dim in each.type.tensor_type.shape.dim]
        for each in model.graph.output
    }
    boxes, scores = shapes.get("boxes", []), shapes.get("scores", [])
    fits = len(boxes) == len(scores) == 3 and boxes == [scores[0], scores[1], 4]
    if not fits or not all(isinstance(size, int) and size for size in scores[1:]):
        raise GateFailed(
            f"{name} answers {shapes}; suppression is appended to boxes [batch, K, 4] and scores [batch, K, classes] "
            "of a fixed K"
        )
    return Candidates(*scores)


def write_suppression(found: Candidates, inside: SuppressionInside) -> Any:
    """The subgraph, its inner tensors prefixed so that they clash with none of the detector's."""
    num_places = found.num_candidates * found.num_classes
    graph = onnx.parser.parse_graph(
        SUPPRESSION.format(
            k=found.num_candidates,
            c=found.num_classes,
            n=inside.max_detections,
            places=num_places,
            width=max(num_places, inside.max_detections),
            iou_threshold=written(inside.iou_threshold),
            score_threshold=written(inside.score_threshold),
        )
    )
    outer = {each.name for each in (*graph.input, *graph.output)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name if name in outer else PREFIX + name for name in names]
        node.name = PREFIX + node.output[0]
    for output in graph.output:
        output.type.tensor_type.shape.dim[0].CopyFrom(batch_dimension(found.batch))
    return graph


def written(threshold: float) -> str:
    """The float32 nearest to it, as that is what scores and overlaps are compared with elsewhere; never as 1e-05."""
    return np.format_float_positional(np.float32(threshold), trim="0")


def batch_dimension(batch: int | str) -> Any:
    """The first axis of an output, as the detector has it."""
    value = helper.make_tensor_value_info("", TensorProto.FLOAT, [batch])
    return value.type.tensor_type.shape.dim[0]
