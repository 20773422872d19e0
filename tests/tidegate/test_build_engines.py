from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
import typer.testing

from registry.local_store import LocalStore
from registry.manifest import Requirements
from registry.package import ModelPackage
from serving.variants import HostFacts
from tasks.errors import NotReady
from tests.handmade import Handmade, build_package
from tidegate import cli
from tidegate.build_engines import variants_of, versions_to_serve

CPU, GPU = HostFacts((), ("cpu",)), HostFacts((), ("cpu", "cuda"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """`colours` in two versions of which the second is the champion, and `shapes` without one."""
    root = tmp_path_factory.mktemp("store")
    made = LocalStore(root / "packages")
    for index, name in enumerate(("colours", "colours", "shapes")):
        knobs = Handmade(name=name, shift=index / 10, num_golden=1, num_profile=1)
        made.publish(build_package(root / str(index), knobs).folder)
    made.set_alias("colours", "champion", "2")
    return made


@pytest.fixture(scope="module")
def package(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """With a variant for any processor and one for GPUs."""
    found = store.fetch(store.versions("colours")[0], tmp_path_factory.mktemp("cache"))
    plain = found.manifest.variants["fp32"]
    half = msgspec.structs.replace(plain, precision="fp16", requires=Requirements(provider="cuda"))
    manifest = msgspec.structs.replace(found.manifest, variants={"fp32": plain, "fp16": half})
    return ModelPackage(found.folder, manifest, found.digest)


def test_engines_are_for_what_a_server_serves(store: LocalStore) -> None:
    assert [str(info) for info in versions_to_serve(store, ())] == ["colours/2"]
    assert [str(info) for info in versions_to_serve(store, ("shapes/1", "colours"))] == ["shapes/1", "colours/2"]


def test_the_variant_is_the_one_that_a_server_chooses_unless_all_are_wanted(package: ModelPackage) -> None:
    assert variants_of(package, "auto", GPU) == ["fp32"]
    assert variants_of(package, "fp16", GPU) == ["fp16"]
    assert variants_of(package, "all", GPU) == ["fp32", "fp16"]
    assert variants_of(package, "all", CPU) == ["fp32"]


def test_a_variant_that_can_not_run_here_is_refused(package: ModelPackage) -> None:
    with pytest.raises(NotReady, match="fp16: it needs cuda"):
        variants_of(package, "fp16", CPU)
    with pytest.raises(NotReady, match=r"fp32: it needs cpu.*; fp16: it needs cuda"):
        variants_of(package, "all", HostFacts((), ()))


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="this machine has TensorRT")
def test_a_machine_without_tensorrt_is_told_what_to_install(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = typer.testing.CliRunner().invoke(cli.app, ["build-engines", "--store", str(store.root)])
    assert isinstance(result.exception, NotReady)
    assert "pip install 'tidegate[tensorrt]'" in str(result.exception)
