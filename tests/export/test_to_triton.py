from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from export.to_triton import TritonOrder, export_triton
from export.triton.model_config import Backend, print_config, read_config
from registry.package import ModelPackage, seal_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.triton_origin import Origin, read_origins
from tasks.errors import BadInput, Conflict, NotReady, Unsupported
from tasks.task import open_task
from tests.export.triton.test_engine_file import keep_engine
from tests.forks import forked
from tests.handmade import Handmade, build_package
from tests.handmade_coding import build_pruned, code_package
from tests.handmade_suppression import SUPPRESSED, build_crowd
from tests.tiny_language import build_language_package

PYTHON = TritonOrder(backend="python")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_package(tmp_path_factory.mktemp("first") / "colours")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_package(tmp_path_factory.mktemp("second") / "colours", Handmade(shift=1.0))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("backend", "files"),
    [("onnxruntime", {"model.onnx"}), ("python", {"model.onnx", "model.py", "__pycache__"}), ("tensorrt", set())],
)
def test_a_repository_has_the_package_and_says_which(
    first: ModelPackage, tmp_path: Path, backend: Backend, files: set[str]
) -> None:
    written = export_triton(first, "7", tmp_path, TritonOrder(backend=backend))
    assert (written.folder, written.version, written.variant) == (tmp_path / "colours", "7", "fp32")
    assert {path.name for path in (written.folder / "7").iterdir()} == files
    config = read_config(written.folder / "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("colours", backend, 8)
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    assert read_origins(parameters) == {"7": Origin(digest=first.digest, variant="fp32")}
    assert [path.name for path in tmp_path.iterdir()] == ["colours"], "Triton takes every folder for a model"
    if backend != "tensorrt":
        assert (written.folder / "7" / "model.onnx").read_bytes() == first.graph_path("fp32").read_bytes()


def test_it_is_warmed_in_every_batch_size_with_golden_pictures(first: ModelPackage, tmp_path: Path) -> None:
    written = export_triton(first, "1", tmp_path, TritonOrder())
    warm_up = read_config(written.folder / "config.pbtxt").model_warmup
    assert [request.batch_size for request in warm_up] == [1, 2, 4, 8]
    task = open_task(first.task_spec)
    golden = [task.preprocess(task.sample_from_bytes(payload))["image"] for payload in first.golden_inputs()]
    for request, expected in zip(warm_up, golden, strict=True):
        entry = request.inputs["image"]
        assert tuple(entry.dims) == expected.shape
        content = (written.folder / "warmup" / entry.input_data_file).read_bytes()
        np.testing.assert_array_equal(np.frombuffer(content, np.uint8).reshape(expected.shape), expected)


def test_the_same_again_changes_nothing_and_keeps_what_was_tuned(first: ModelPackage, tmp_path: Path) -> None:
    written = export_triton(first, "1", tmp_path, PYTHON)
    path = written.folder / "config.pbtxt"
    config = read_config(path)
    config.instance_group[0].count, config.dynamic_batching.max_queue_delay_microseconds = 4, 500
    path.write_text(f"# ours\n{print_config(config)}")
    before = contents(tmp_path)
    export_triton(first, "1", tmp_path, PYTHON)
    assert contents(tmp_path) == before


def test_versions_lie_side_by_side(first: ModelPackage, second: ModelPackage, tmp_path: Path) -> None:
    export_triton(first, "1", tmp_path, PYTHON)
    before = contents(tmp_path / "colours" / "1")
    path = tmp_path / "colours" / "config.pbtxt"
    config = read_config(path)
    config.instance_group[0].count = 4
    path.write_text(print_config(config))
    export_triton(second, "2", tmp_path, PYTHON)
    assert contents(tmp_path / "colours" / "1") == before
    config = read_config(path)
    assert config.instance_group[0].count == 4, "an operator's tuning stays"
    origins = read_origins({name: value.string_value for name, value in config.parameters.items()})
    assert {version: origin.digest for version, origin in origins.items()} == {"1": first.digest, "2": second.digest}
    named = {entry.input_data_file for request in config.model_warmup for entry in request.inputs.values()}
    assert {file.name for file in (tmp_path / "colours" / "warmup").iterdir()} == named


def test_versions_that_are_written_at_once_are_all_there(
    first: ModelPackage, second: ModelPackage, tmp_path: Path
) -> None:
    versions = {"1": first, "2": second, "3": first, "4": second}
    works = (partial(export_triton, package, version, tmp_path, TritonOrder()) for version, package in versions.items())
    assert forked(*works) == [0] * 4
    config = read_config(tmp_path / "colours" / "config.pbtxt")
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    assert {version: origin.digest for version, origin in read_origins(parameters).items()} == {
        version: package.digest for version, package in versions.items()
    }


def test_a_version_that_is_there_is_never_changed(first: ModelPackage, second: ModelPackage, tmp_path: Path) -> None:
    export_triton(first, "1", tmp_path, PYTHON)
    before = contents(tmp_path)
    with pytest.raises(Conflict, match="version 1 of 'colours'"):
        export_triton(second, "1", tmp_path, PYTHON)
    with pytest.raises(Conflict, match="another backend: python, and this one onnxruntime"):
        export_triton(second, "2", tmp_path, TritonOrder())
    assert contents(tmp_path) == before
    (tmp_path / "colours" / "1" / "model.onnx").write_bytes(b"another")
    with pytest.raises(Conflict, match=r"model\.onnx is there and is another"):
        export_triton(first, "1", tmp_path, PYTHON)


def test_an_engine_may_come_later_and_then_stays(first: ModelPackage, tmp_path: Path) -> None:
    repository, cache = tmp_path / "repository", tmp_path / "engines"
    awaited = export_triton(first, "1", repository, TritonOrder(backend="tensorrt")).missing
    assert awaited == repository / "colours" / "1" / "model.plan"
    engine = keep_engine(cache, first, b"an engine")
    written = export_triton(first, "1", repository, TritonOrder(backend="tensorrt", engine=engine))
    assert (written.missing, awaited.read_bytes()) == (None, b"an engine")
    assert "9.0" in written.built_for
    engine = keep_engine(cache, first, b"another")
    with pytest.raises(Conflict, match=r"model\.plan is there and is another"):
        export_triton(first, "1", repository, TritonOrder(backend="tensorrt", engine=engine))
    with pytest.raises(BadInput, match="the backend asked for is python"):
        export_triton(first, "1", repository, TritonOrder(backend="python", engine=engine))


def test_a_variant_is_chosen_by_name_or_the_first_that_passed(tmp_path: Path) -> None:
    crowd = build_crowd(tmp_path / "package")
    auto = export_triton(crowd, "1", tmp_path / "auto", TritonOrder()).variant
    assert auto == next(iter(crowd.manifest.variants))
    assert export_triton(crowd, "1", tmp_path / "named", TritonOrder(variant=SUPPRESSED)).variant == SUPPRESSED
    with pytest.raises(NotReady, match="no such variant"):
        export_triton(crowd, "1", tmp_path / "other", TritonOrder(variant="int4"))
    assert not (tmp_path / "other").exists()


def test_a_model_that_generates_is_refused(tmp_path: Path) -> None:
    package = build_language_package(tmp_path / "tiny")
    with pytest.raises(Unsupported, match="stages that are batched, no others"):
        export_triton(package, "1", tmp_path / "repository", TritonOrder())
    assert not (tmp_path / "repository").exists()


def test_weights_beside_the_graph_come_along(first: ModelPackage, tmp_path: Path) -> None:
    package = with_weights_beside(first, tmp_path / "package")
    written = export_triton(package, "1", tmp_path / "repository", TritonOrder())
    image = np.full((2, 32, 32, 3), 200, np.uint8)
    runtimes = OnnxRuntime(written.folder / "1" / "model.onnx"), OnnxRuntime(first.graph_path("fp32"))
    for name, expected in runtimes[1].run({"image": image}).items():
        np.testing.assert_array_equal(runtimes[0].run({"image": image})[name], expected)


def test_coded_weights_are_written_out(tmp_path: Path) -> None:
    plain = build_pruned(tmp_path / "plain")
    coded = code_package(plain, tmp_path / "coded")
    written = export_triton(coded, "1", tmp_path / "repository", TritonOrder())
    image = np.full((2, 16, 16, 3), 200, np.uint8)
    runtimes = OnnxRuntime(written.folder / "1" / "model.onnx"), OnnxRuntime(plain.graph_path("fp32"))
    for name, expected in runtimes[1].run({"image": image}).items():
        np.testing.assert_array_equal(runtimes[0].run({"image": image})[name], expected)


def with_weights_beside(package: ModelPackage, folder: Path) -> ModelPackage:
    """The same package, but for weights that lie in a file of their own."""
    for name, content in contents(package.folder).items():
        if name != "manifest.json":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    model = onnx.load(package.graph_path("fp32"))
    onnx.save_model(
        model, folder / "fp32" / "model.onnx", save_as_external_data=True, location="weights.data", size_threshold=60
    )
    variant = package.manifest.variants["fp32"]
    graph = msgspec.structs.replace(variant.graphs["main"], data_files=("fp32/weights.data",))
    variants = {"fp32": msgspec.structs.replace(variant, graphs={"main": graph})}
    return seal_package(folder, msgspec.structs.replace(package.manifest, variants=variants))
