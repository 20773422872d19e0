"""A package with a coded graph: opened, stored, promoted and served as any other, and refused where it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from registry.local_store import LocalStore
from registry.package import ModelPackage, open_package
from registry.plain_graph import write_plain_graph
from serving.config import ServerConfig
from serving.generative_loader import load_generative
from serving.model_loader import load_model
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.variants import detect_host
from tasks.errors import Conflict, InvalidPackage
from tests.handmade_coding import CODED, SIZE, build_pruned, code_package
from tests.registry.test_package import put, refused, rewrite

PACKAGES = Path(__file__).parent / "packages"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_pruned(tmp_path_factory.mktemp("pruned") / "package")


@pytest.fixture(scope="module")
def coded(plain: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return code_package(plain, tmp_path_factory.mktemp("coded") / "package")


@pytest.fixture
def folder(coded: ModelPackage, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(coded.folder, tmp_path / "copy"))


def answers(package: ModelPackage) -> dict[str, np.ndarray]:
    pictures = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    runtime = open_runtime(package, "fp32", ONE_THREAD)
    outputs = runtime.run({"image": pictures})
    runtime.close()
    return outputs


def test_a_published_package_answers_exactly_as_before(
    plain: ModelPackage, coded: ModelPackage, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    fetched = store.fetch(store.publish(coded.folder), tmp_path / "cache")
    assert (fetched.folder / CODED).stat().st_size < (plain.folder / "fp32/model.onnx").stat().st_size / 15
    expected, found = answers(plain), answers(fetched)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_server_proves_and_warms_it_as_any_other(coded: ModelPackage) -> None:
    loaded = load_model(coded, ServerConfig(runtime_threads=1), detect_host())
    assert (loaded.variant, loaded.plan.buckets) == ("fp32", (1, 2))
    loaded.runtime.close()


@pytest.mark.parametrize("fixture", ["v1-llama", "v1-lstm"])
def test_a_model_that_generates_has_every_role_coded(fixture: str, tmp_path: Path) -> None:
    package = code_package(open_package(PACKAGES / fixture), tmp_path / "package")
    assert {graph.file for graph in package.variant("fp32").graphs.values()} == {
        "fp32/decoder.coded",
        "fp32/copy.coded",
    }
    # Loading repeats the golden continuations.
    load_generative(package, ServerConfig(runtime_threads=1), detect_host()).graphs.close()


def test_manifests_of_other_packages_do_not_mention_it(plain: ModelPackage) -> None:
    graph = json.loads((plain.folder / "manifest.json").read_bytes())["variants"]["fp32"]["graphs"]["main"]
    assert set(graph) == {"file", "inputs", "outputs"}


def test_opening_does_not_decode_and_loading_does(folder: Path) -> None:
    content = bytearray((folder / CODED).read_bytes())
    content[-3] ^= 1
    put(folder, CODED, bytes(content))
    package = open_package(folder)
    with pytest.raises(InvalidPackage, match="does not decode to the graph that it was made of"):
        open_runtime(package, "fp32", ONE_THREAD)


def test_an_altered_file(folder: Path) -> None:
    content = bytearray((folder / CODED).read_bytes())
    content[-3] ^= 1
    (folder / CODED).write_bytes(content)
    refused(folder, CODED, "was altered", "hash")


def test_weights_of_another_hash(folder: Path) -> None:
    def swap(manifest: dict) -> None:  # type: ignore[type-arg]
        manifest["variants"]["fp32"]["graphs"]["main"]["decodes_to"]["weights"]["sha256"] = "0" * 64

    rewrite(folder, swap)
    with pytest.raises(InvalidPackage, match="the hash of its weights is not the one in the manifest"):
        open_runtime(open_package(folder), "fp32", ONE_THREAD)


def test_weights_inside_and_beside(folder: Path) -> None:
    rewrite(folder, lambda m: m["variants"]["fp32"]["graphs"]["main"].update(data_files=["fp32/profile.json"]))
    refused(folder, "has its weights inside")


def test_a_coded_graph_that_is_said_to_be_plain(folder: Path) -> None:
    rewrite(folder, lambda m: m["variants"]["fp32"]["graphs"]["main"].pop("decodes_to"))
    with pytest.raises(InvalidPackage, match="does not load"):
        open_runtime(open_package(folder), "fp32", ONE_THREAD)


def test_others_get_plain_onnx_of_either(plain: ModelPackage, coded: ModelPackage, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    outputs = []
    for number, package in enumerate((plain, coded)):
        (folder := tmp_path / str(number)).mkdir()
        path = write_plain_graph(package, "fp32", "main", folder)
        assert path == folder / "model.onnx"
        onnx.checker.check_model(path, full_check=True)
        runtime = OnnxRuntime(path)
        outputs.append(runtime.run({"image": pictures})["logits"])
        runtime.close()
    assert np.array_equal(*outputs)


def test_the_weights_of_one_graph_are_not_written_over_those_of_another(coded: ModelPackage, tmp_path: Path) -> None:
    write_plain_graph(coded, "fp32", "main", tmp_path)
    with pytest.raises(Conflict, match="a folder of its own"):
        write_plain_graph(coded, "fp32", "main", tmp_path)
