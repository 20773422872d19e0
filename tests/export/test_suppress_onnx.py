"""A graph that suppresses by itself finds what its candidates give outside of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from export.suppress_onnx import append_suppression
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.detection import Detection, DetectionSpec, SuppressionInside
from tasks.errors import BadInput, GateFailed
from tasks.image import ImageSpec, place_image
from tasks.nms import rank_candidates, suppress
from tasks.task import Sample
from tests.detector_graphs import write_detector

LABELS = ("cat", "dog", "bird", "fish")
INSIDE = SuppressionInside(score_threshold=0.05, iou_threshold=0.6, max_detections=40)
STRICTER = (
    {},
    {"score_threshold": 0.05, "iou_threshold": 0.6},
    {"score_threshold": 0.5, "iou_threshold": 0.6},
    {"score_threshold": 0.9, "iou_threshold": 0.6, "max_detections": 3},
)
"""Requests, each compared on its share of the pictures. Thresholds of overlap are the graph's own: see
`surviving_boxes` for lower ones."""


def both_kinds(folder: Path, image: ImageSpec) -> tuple[Path, Path]:
    """A detector, and the same with suppression inside."""
    plain, suppressed = folder / "plain.onnx", folder / "suppressed.onnx"
    write_detector(plain, image, len(LABELS))
    append_suppression(plain, suppressed, INSIDE)
    return plain, suppressed


def both_tasks(image: ImageSpec) -> tuple[Detection, Detection]:
    spec = DetectionSpec(labels=LABELS, image=image, iou_threshold=0.6, max_detections=40)
    return Detection(spec), Detection(msgspec.structs.replace(spec, inside=INSIDE))


@pytest.mark.parametrize("image", [ImageSpec(height=64, width=64), ImageSpec(height=48, width=96, fit="letterbox")])
def test_same_detections_on_500_pictures(image: ImageSpec, tmp_path: Path) -> None:
    plain, suppressed = (OnnxRuntime(path) for path in both_kinds(tmp_path, image))
    outside, inside = both_tasks(image)
    rng, num_found = np.random.default_rng(3), 0
    for start in range(0, 500, 50):
        # From hardly any contrast to pure noise: none to dozens of objects, in one batch.
        contrast = rng.random((50, 1, 1, 1)) * 255
        pictures = (rng.random((50, image.height, image.width, 3)) * contrast).astype(np.uint8)
        candidates, kept = (each.run({"image": pictures}) for each in (plain, suppressed))
        for index in range(50):
            height, width = rng.integers(20, 400, 2)
            sample = Sample(pictures[index], place_image(int(height), int(width), image))
            asked = STRICTER[(start + index) % len(STRICTER)]
            first = outside.decode_output(
                {name: value[index] for name, value in candidates.items()}, sample, outside.parse_params(asked)
            )
            second = inside.decode_output(
                {name: value[index] for name, value in kept.items()}, sample, inside.parse_params(asked)
            )
            assert first == second
            num_found += len(first.detections)
        np.testing.assert_array_equal(candidates["embedding"], kept["embedding"])
    assert num_found > 1000


@st.composite
def crowded(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [B, 12, 4] on a coarse grid and scores [B, 12, 3] of a few values: ties, copies, empty and turned boxes."""
    batch = draw(st.integers(1, 3))
    corners = draw(st.lists(st.integers(0, 6), min_size=batch * 48, max_size=batch * 48))
    scores = draw(st.lists(st.sampled_from([0.0, 0.05, 0.0500001, 0.3, 0.9]), min_size=batch * 36, max_size=batch * 36))
    return np.array(corners, np.float32).reshape(batch, 12, 4), np.array(scores, np.float32).reshape(batch, 12, 3)


@pytest.fixture(scope="module", params=[1, 5, 50])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[OnnxRuntime, int]:
    """A graph of candidates given as they are, suppressed to fewer and to more than there are."""
    folder = tmp_path_factory.mktemp("bare")
    onnx.save(identity_graph([12, 4], [12, 3]), folder / "plain.onnx")
    inside = SuppressionInside(score_threshold=0.05, iou_threshold=0.4, max_detections=request.param)
    append_suppression(folder / "plain.onnx", folder / "suppressed.onnx", inside)
    return OnnxRuntime(folder / "suppressed.onnx"), request.param


def identity_graph(boxes: list[int | str], scores: list[int | str]) -> onnx.ModelProto:
    def value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    nodes = [helper.make_node("Identity", ["b"], ["boxes"]), helper.make_node("Identity", ["s"], ["scores"])]
    inputs, outputs = [value("b", boxes), value("s", scores)], [value("boxes", boxes), value("scores", scores)]
    graph = helper.make_graph(nodes, "candidates", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(crowded())
def test_crowds_and_ties_are_settled_alike(bare: tuple[OnnxRuntime, int], drawn: tuple[np.ndarray, np.ndarray]) -> None:
    (runtime, size), (boxes, scores) = bare, drawn
    kept = runtime.run({"b": boxes, "s": scores})
    assert kept["kept_boxes"].shape == (len(boxes), size, 4)
    for index in range(len(boxes)):
        found = suppress(rank_candidates(boxes[index], scores[index], 0.05), "class_aware", 0.4, 0.05, size)
        count = int(kept["num_kept"][index])
        assert count == len(found.scores)
        np.testing.assert_array_equal(kept["kept_boxes"][index, :count], found.boxes)
        np.testing.assert_array_equal(kept["kept_scores"][index, :count], found.scores)
        np.testing.assert_array_equal(kept["kept_class_ids"][index, :count], found.class_ids)
        for name in ("kept_boxes", "kept_scores", "kept_class_ids"):
            assert not kept[name][index, count:].any()


def test_outputs_are_those_of_the_contract(tmp_path: Path) -> None:
    _, suppressed = both_kinds(tmp_path, ImageSpec(height=64, width=64))
    assert [(each.name, each.dtype, each.shape[:2]) for each in OnnxRuntime(suppressed).outputs] == [
        ("kept_boxes", "FP32", (-1, 40)),
        ("kept_scores", "FP32", (-1, 40)),
        ("kept_class_ids", "INT64", (-1, 40)),
        ("num_kept", "INT64", (-1,)),
        ("embedding", "FP32", (-1, 24)),
    ]


def test_looser_requests_are_refused() -> None:
    _, inside = both_tasks(ImageSpec(height=64, width=64))
    with pytest.raises(BadInput, match=r"at least 0\.05"):
        inside.parse_params({"score_threshold": 0.01})


def test_graph_without_a_fixed_number_of_candidates_is_refused(tmp_path: Path) -> None:
    onnx.save(identity_graph(["many", 4], ["many", 3]), tmp_path / "free.onnx")
    with pytest.raises(GateFailed, match="fixed K"):
        append_suppression(tmp_path / "free.onnx", tmp_path / "out.onnx", INSIDE)
    assert not (tmp_path / "out.onnx").exists()
