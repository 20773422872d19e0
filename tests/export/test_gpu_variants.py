"""Variants for a GPU in a package that was made without one."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.compress.half_precision import Bf16, Fp16
from export.host_runtime import open_on_host
from export.pipeline import export_subject
from export.recipe import ExportRecipe, VariantConfig
from export.subject import Subject
from registry.package import ModelPackage
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.self_test import replay_golden
from serving.variants import HostFacts, choose_variant
from tasks.errors import NotReady
from tasks.task import open_task

KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.fixture(scope="module")
def package(subject: Subject, recipe: ExportRecipe, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    tolerances = recipe.variants["int8"].tolerances
    halves = {name: VariantConfig(steps=(step,), tolerances=tolerances) for name, step in TECHNIQUES.items()}
    variants = {"fp32": recipe.variants["fp32"], **halves}
    changed = msgspec.structs.replace(recipe, variants=variants)
    return export_subject(subject, changed, tmp_path_factory.mktemp("export") / "package")


TECHNIQUES: dict[str, Fp16 | Bf16] = {"fp16": Fp16(), "bf16": Bf16()}


def test_hosts_with_a_gpu_take_them_and_others_pass_them_by(package: ModelPackage) -> None:
    with_gpu, without = (HostFacts(cpu_features=(), providers=each) for each in (("cpu", "cuda"), ("cpu",)))
    assert choose_variant(package, "auto", with_gpu) in TECHNIQUES
    assert choose_variant(package, "auto", without) == "fp32"


@pytest.mark.parametrize("name", TECHNIQUES)
def test_graph_is_of_16_bits_inside_and_as_its_siblings_outside(package: ModelPackage, name: str) -> None:
    variant, plain = package.variant(name), package.variant("fp32")
    weights = onnx.load(package.graph_path(name)).graph.initializer
    assert KINDS[name] in {each.data_type for each in weights}
    graph, sibling = variant.graphs["main"], plain.graphs["main"]
    assert (graph.inputs, graph.outputs) == (sibling.inputs, sibling.outputs)
    assert variant.precision == name
    assert variant.evidence.metrics["max_difference_logits"] > 0


@pytest.mark.parametrize("name", TECHNIQUES)
def test_another_host_may_err_as_much_as_this_one(package: ModelPackage, name: str) -> None:
    variant = package.variant(name)
    tolerance = variant.golden.max_abs_difference["logits"]
    assert tolerance == pytest.approx(2 * variant.evidence.metrics["max_difference_logits"])
    logits = np.sort(package.golden_outputs(name)["logits"], axis=1)
    assert (logits[:, -1] - logits[:, -2] > 2 * tolerance).mean() > 0.5
    replay_golden(package, name, open_task(package.task_spec), open_on_host(package.graph_path(name)))


def test_server_without_a_gpu_does_not_run_them_by_mistake(package: ModelPackage) -> None:
    with pytest.raises(NotReady, match="CUDAExecutionProvider"):
        open_runtime(package, "fp16", ONE_THREAD)
