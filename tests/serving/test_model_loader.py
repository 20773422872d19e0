from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from registry.manifest import Requirements
from registry.package import ModelPackage
from serving.config import ServerConfig
from serving.model_loader import load_model, warm_up
from serving.runtimes.fake import FakeRuntime
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.variants import HostFacts, detect_host
from tasks.errors import InvalidPackage, NotReady
from tasks.task import TensorSpec
from tests.handmade import Handmade, build_package

CONFIG = ServerConfig(runtime_threads=1)


def changed(package: ModelPackage, **facts: object) -> ModelPackage:
    """The package with other facts about its only variant."""
    variant = msgspec.structs.replace(package.manifest.variants["fp32"], **facts)
    manifest = msgspec.structs.replace(package.manifest, variants={"fp32": variant})
    return ModelPackage(package.folder, manifest, package.digest)


def test_every_bucket_is_warmed_and_only_those_are_used(package: ModelPackage) -> None:
    assert load_model(package, CONFIG, detect_host()).plan.buckets == (1, 2, 4, 8)


def test_a_deployment_may_cap_the_batch_and_not_raise_it(package: ModelPackage) -> None:
    capped = msgspec.structs.replace(CONFIG, max_batch=5)
    assert load_model(package, capped, detect_host()).plan.buckets == (1, 2, 4)
    raised = msgspec.structs.replace(CONFIG, max_batch=500)
    assert load_model(package, raised, detect_host()).plan.buckets == (1, 2, 4, 8)


def test_warming_runs_every_batch_size_with_shapes_of_the_graph() -> None:
    free = TensorSpec(name="image", dtype="UINT8", shape=(-1, -1, -1, 3))
    seen: list[tuple[int, ...]] = []

    def compute(inputs):  # type: ignore[no-untyped-def]
        seen.append(inputs["image"].shape)
        return {}

    seconds = warm_up(FakeRuntime(compute, (free,), ()), [1, 4], (32, 48))
    assert set(seen) == {(1, 32, 48, 3), (4, 32, 48, 3)}
    assert set(seconds) == {1, 4}


def test_a_host_that_lacks_what_is_required_says_so(package: ModelPackage) -> None:
    demanding = changed(package, requires=Requirements(cpu_features=("amx_tile",)))
    with pytest.raises(NotReady, match="amx_tile"):
        load_model(demanding, CONFIG, HostFacts(frozenset(), frozenset({"cpu"})))


def test_a_manifest_that_describes_another_graph_is_refused(package: ModelPackage) -> None:
    graph = package.manifest.variants["fp32"].graphs["main"]
    lying = msgspec.structs.replace(graph, outputs=graph.outputs[:1])
    with pytest.raises(InvalidPackage, match="outputs"):
        load_model(changed(package, graphs={"main": lying}), CONFIG, detect_host())


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    package = build_package(tmp_path / "colours", Handmade())
    package.graph_path("fp32").write_bytes(b"no graph")
    with pytest.raises(InvalidPackage, match="does not load"):
        load_model(package, CONFIG, detect_host())


def test_a_model_that_fails_its_self_test_frees_its_runtime(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[OnnxRuntime] = []
    monkeypatch.setattr(OnnxRuntime, "close", lambda self: closed.append(self))
    impossible = {"logits": -1.0, "embedding": -1.0}
    golden = msgspec.structs.replace(package.manifest.variants["fp32"].golden, max_abs_difference=impossible)
    with pytest.raises(InvalidPackage, match="golden/0000"):
        load_model(changed(package, golden=golden), CONFIG, detect_host())
    assert len(closed) == 1
