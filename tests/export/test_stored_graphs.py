"""Coded variants: smaller on disk, the same answers, and their sizes at every stage in the evidence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from export.compress.entropy_coding import EntropyCoding
from export.pipeline import export_subject
from export.recipe import ExportRecipe
from export.stored_graphs import STAGE_METRIC, store_graphs
from export.subject import Subject
from registry.package import open_package
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD


def test_coded_variant_answers_as_the_plain_one_to_the_bit(
    subject: Subject, recipe: ExportRecipe, tmp_path: Path
) -> None:
    plain_variant = recipe.variants["fp32"]
    coded_variant = msgspec.structs.replace(plain_variant, steps=(EntropyCoding(),))
    recipe = msgspec.structs.replace(recipe, variants={"fp32": plain_variant, "coded": coded_variant})
    package = open_package(export_subject(subject, recipe, tmp_path / "package").folder)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    plain, coded = (
        open_runtime(package, name, ONE_THREAD).run({"image": pictures})["logits"] for name in ("fp32", "coded")
    )
    np.testing.assert_array_equal(plain, coded)
    assert package.graph_path("coded").suffix == ".coded"
    assert not (package.folder / "coded" / "model.onnx").exists()
    evidence = package.variant("coded").evidence
    assert evidence.num_bytes == package.graph_path("coded").stat().st_size
    assert evidence.metrics[f"{STAGE_METRIC}coded"] == evidence.num_bytes
    assert not [name for name in package.variant("fp32").evidence.metrics if name.startswith(STAGE_METRIC)]


def test_zeros_and_few_values_shrink_stage_by_stage(tmp_path: Path) -> None:
    weights = np.zeros((64, 256), np.float32)
    weights[:, ::10] = np.random.default_rng(0).choice([-0.5, 0.25, 0.75, 1.0], (64, 26))
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, [None, size]) for name, size in (("x", 64), ("y", 256))]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    (tmp_path / "v").mkdir()
    path = tmp_path / "v" / "model.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    stored = store_graphs((EntropyCoding(),), {"main": path})
    sizes = [stored.metrics()[f"{STAGE_METRIC}{stage}"] for stage in ("dense", "pruned", "clustered", "coded")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 30 * sizes[-1]
    assert stored.num_bytes == sizes[-1]


def test_graphs_of_others_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    shared, own = tmp_path / "encoder.onnx", tmp_path / "small" / "decoder.onnx"
    for path in (shared, own):
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), path)
    stored = store_graphs((EntropyCoding(),), {"encoder": shared, "decoder": own})
    assert set(stored.coded) == {"decoder"}
    assert store_graphs((), {"encoder": shared, "decoder": own}).coded == {}
