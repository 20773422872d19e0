"""A whole export: what the package holds, and what makes an export fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from export.forgotten import Forgotten, read_forgotten
from export.pipeline import export_subject
from export.recipe import ExportRecipe, load_export_recipe
from export.report import format_report
from export.subject import Data, Subject
from export.tolerance_missed import ToleranceMissed
from monitoring.profile import decode_profile
from registry.package import ModelPackage, open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from tasks.errors import BadInput, Conflict, GateFailed, InvalidRecipe
from tasks.task import Array, open_task
from tests.handmade import LABELS


@pytest.fixture(scope="module")
def package(subject: Subject, recipe: ExportRecipe, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    twice = msgspec.structs.replace(recipe, num_seeds=2)
    return export_subject(subject, twice, tmp_path_factory.mktemp("export") / "package")


def test_package_opens_and_replays_its_golden_set(package: ModelPackage) -> None:
    opened = open_package(package.folder)
    task = open_task(opened.task_spec)
    assert set(opened.manifest.variants) == {"fp32", "int8"}
    for name in opened.manifest.variants:
        replay_golden(opened, name, task, OnnxRuntime(opened.graph_path(name)))
    golden = opened.golden_outputs("fp32")["logits"].argmax(axis=1)
    assert len(opened.golden_inputs()) == 12
    assert {LABELS[i] for i in golden} == set(LABELS)


def test_golden_decisions_survive_any_difference_within_tolerance(package: ModelPackage) -> None:
    for name in package.manifest.variants:
        logits = np.sort(package.golden_outputs(name)["logits"], axis=1)
        tolerance = package.variant(name).golden.max_abs_difference["logits"]
        assert (logits[:, -1] - logits[:, -2] > 2 * tolerance).mean() > 0.5
    fp32, int8 = (package.variant(name).golden.max_abs_difference["logits"] for name in ("fp32", "int8"))
    assert int8 > fp32


def test_golden_set_passes_with_other_kernels(package: ModelPackage) -> None:
    """Without fusions ONNX Runtime computes an int8 graph in float32: another processor differs no more."""
    task, options = open_task(package.task_spec), ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    images = np.stack([task.preprocess(task.sample_from_bytes(each))["image"] for each in package.golden_inputs()])
    for name in package.manifest.variants:
        session = ort.InferenceSession(str(package.graph_path(name)), options, providers=["CPUExecutionProvider"])
        outputs = dict(
            zip([each.name for each in session.get_outputs()], session.run(None, {"image": images}), strict=True)
        )
        for output, tolerance in package.variant(name).golden.max_abs_difference.items():
            assert np.abs(outputs[output] - package.golden_outputs(name)[output]).max() < 0.5 * tolerance


def test_evidence_is_of_held_out_examples(package: ModelPackage) -> None:
    for name, variant in package.manifest.variants.items():
        evidence = variant.evidence
        assert evidence.num_examples == 200
        assert evidence.metrics["accuracy"] > 0.8
        assert [each.label for each in evidence.per_class] == list(LABELS)
        assert sum(each.support for each in evidence.per_class) == 200
        assert set(evidence.latency_ms) == {"1", "16"}
        assert evidence.num_bytes == package.graph_path(name).stat().st_size
        assert evidence.passed
    assert package.variant("fp32").evidence.metrics["max_difference_logits"] < 1e-3


def test_profile_counts_spare_examples_too(package: ModelPackage) -> None:
    for name in package.manifest.variants:
        assert decode_profile(package.profile_bytes(name)).num_images == 350


def test_report_has_a_row_for_each_variant(package: ModelPackage) -> None:
    report = format_report(package)
    assert [line.split()[0] for line in report.splitlines()[2:5]] == ["trained", *package.manifest.variants]
    assert "200 held-out examples" in report


def test_lineage_names_recipe_and_libraries(package: ModelPackage) -> None:
    lineage = package.manifest.lineage
    assert lineage.recipe["export"]["num_verify"] == 200
    assert "torch" in lineage.versions


def test_package_says_what_each_variant_forgot(package: ModelPackage) -> None:
    for name, variant in package.manifest.variants.items():
        forgotten = read_forgotten(package.folder, name)
        assert forgotten is not None
        assert f"{name}/forgotten.json" in package.manifest.files
        assert forgotten.num_examples == 200
        assert [each.label for each in forgotten.classes] == list(LABELS)
        assert forgotten.seeds == ((0, 1) if name == "int8" else (0,))
        assert forgotten.figure.by_seed[0] == variant.evidence.metrics["accuracy"]
        assert variant.evidence.metrics["changed_share"] == forgotten.changed_share
        assert (f"{name}/forgotten.png" in package.manifest.files) == bool(forgotten.changes)
    gates = {gate.name for gate in package.variant("int8").evidence.gates}
    assert {"class_drop_over_seeds", "accuracy_drop_over_seeds", "calibration_increase_over_seeds"} <= gates
    assert "what it forgot" in format_report(package)


def test_unknown_class_fails_before_anything_is_built(subject: Subject, recipe: ExportRecipe, tmp_path: Path) -> None:
    int8 = recipe.variants["int8"]
    limited = msgspec.structs.replace(int8.tolerances, class_drops={"mauve": 0.0})
    variants = {"int8": msgspec.structs.replace(int8, tolerances=limited)}
    with pytest.raises(InvalidRecipe, match="'mauve'"):
        export_subject(subject, msgspec.structs.replace(recipe, variants=variants), tmp_path / "package")


def test_variant_outside_its_tolerance_fails_with_a_table(
    subject: Subject, recipe: ExportRecipe, tmp_path: Path
) -> None:
    int8 = recipe.variants["int8"]
    strict = msgspec.structs.replace(int8, tolerances=msgspec.structs.replace(int8.tolerances, max_num_bytes=10))
    sabotaged = msgspec.structs.replace(recipe, variants={**recipe.variants, "int8": strict})
    with pytest.raises(GateFailed) as failure:
        export_subject(subject, sabotaged, tmp_path / "package")
    table = str(failure.value)
    assert "num_bytes" in table
    assert "worst classes" in table
    assert [line.split()[0] for line in table.splitlines() if line.startswith(("fp32 ", "int8 "))] == [
        "int8",
        "int8",
        "fp32",
    ]
    assert not (tmp_path / "package").exists()


def test_destroyed_class_is_found(subject: Subject, recipe: ExportRecipe, tmp_path: Path) -> None:
    def write_graph(path: Path, opset: int) -> None:
        subject.write_graph(path, opset)
        model = onnx.load(path)
        bias = next(each for each in model.graph.initializer if each.dims == [len(LABELS)])
        values = numpy_helper.to_array(bias).copy()
        values[LABELS.index("green")] -= 100
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        onnx.save(model, path)

    brief = msgspec.structs.replace(recipe, num_verify=80, num_profile=80)
    with pytest.raises(ToleranceMissed, match=r"class_drop(.|\n)*worst classes green") as failure:
        export_subject(replace(subject, write_graph=write_graph), brief, tmp_path / "package")
    assert "→ 0.00 %" in str(failure.value)
    assert not list(tmp_path.iterdir())
    # What it forgot outlives the failure: every green picture, which the trained model had right.
    forgotten = msgspec.json.decode(failure.value.sheets["fp32/forgotten.json"], type=Forgotten)
    worst = forgotten.changes[0]
    assert (worst.truth, worst.before, worst.num_seeds) == ("green", "green", 1)
    assert failure.value.sheets["fp32/forgotten.png"].startswith(b"\x89PNG")


def test_graph_that_differs_from_its_module_fails(subject: Subject, recipe: ExportRecipe, tmp_path: Path) -> None:
    def reference(tensors: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value * np.float32(1.01) for name, value in subject.reference(tensors).items()}

    with pytest.raises(GateFailed, match="relative_difference"):
        export_subject(replace(subject, reference=reference), recipe, tmp_path / "package")


def test_no_data_no_package(subject: Subject, recipe: ExportRecipe, tmp_path: Path) -> None:
    empty = replace(subject, data=Data(calibration=[], held_out=[]))
    with pytest.raises(BadInput, match="held-out"):
        export_subject(empty, recipe, tmp_path / "package")


def test_never_over_another_package(subject: Subject, recipe: ExportRecipe, package: ModelPackage) -> None:
    with pytest.raises(Conflict, match="not empty"):
        export_subject(subject, recipe, package.folder)
    open_package(package.folder)


def test_fixed_batch_limits_the_buckets(subject: Subject, recipe: ExportRecipe, tmp_path: Path) -> None:
    package = export_subject(replace(subject, max_batch=8), recipe, tmp_path / "package")
    assert package.manifest.batch_buckets == (1, 2, 4, 8)
    assert set(package.variant("fp32").evidence.latency_ms) == {"1"}


def test_single_plain_variant(subject: Subject, tmp_path: Path) -> None:
    recipe = load_export_recipe("quick", ["num_verify=50", "num_profile=50", "latency_seconds=0.01", "num_golden=3"])
    plain = {"fp32": recipe.variants["fp32"]}
    assert plain["fp32"].steps == ()
    package = export_subject(subject, msgspec.structs.replace(recipe, variants=plain), tmp_path / "package")
    assert list(package.manifest.variants) == ["fp32"]
    assert len(package.golden_inputs()) == 3
