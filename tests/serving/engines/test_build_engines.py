"""What is built, proved and kept, with the builder itself left out: that needs a GPU, see test_contract.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from onnx import save as save_onnx

from registry.package import ModelPackage
from serving.engine_choice import EngineChoice
from serving.engines.batch_profiles import BatchProfile
from serving.engines.build_engines import build_engines
from serving.engines.build_plan import BuiltPlan
from serving.engines.engine_cache import EngineCache
from serving.engines.engine_key import BuildSettings, EngineHost
from serving.engines.open_engine import engine_key
from serving.runtimes.compute_threads import ONE_THREAD, ComputeThreads
from tasks.errors import InvalidPackage, NotFound, NotReady, Unsupported

HOST = EngineHost(gpu="NVIDIA L4", compute_capability="8.9", num_multiprocessors=58, tensorrt="10.16.1.11")


@pytest.fixture
def choice(tmp_path: Path) -> EngineChoice:
    return EngineChoice("tensorrt", tmp_path / "engines")


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What a builder was asked for: number of profiles, and the times that it was given."""
    asked: list[tuple[int, bytes]] = []

    def build(graph: Path, profiles: Sequence[BatchProfile], settings: BuildSettings, timings: bytes) -> BuiltPlan:
        assert graph.is_file()
        asked.append((len(profiles), timings))
        return BuiltPlan(b"plan", b"times")

    monkeypatch.setattr("serving.engines.build_engines.build_plan", build)
    return asked


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The plans that the golden set was replayed on, as whoever proves finds them."""
    proved: list[bytes] = []

    def prove(package: ModelPackage, variant: str, threads: ComputeThreads, engine: EngineChoice) -> None:
        key = engine_key(package, variant, "main", HOST, engine)
        proved.append(EngineCache(engine.engine_cache).find(key).read_bytes())

    monkeypatch.setattr("serving.engines.build_engines.prove_variant", prove)
    return proved


def assert_nothing_is_kept(package: ModelPackage, choice: EngineChoice) -> None:
    with pytest.raises(NotFound):
        EngineCache(choice.engine_cache).find(engine_key(package, "fp32", "main", HOST, choice))
    assert not list(choice.engine_cache.glob("incoming-*"))


def test_an_engine_is_built_proved_and_then_kept(
    package: ModelPackage, choice: EngineChoice, builds: list[tuple[int, bytes]], proofs: list[bytes]
) -> None:
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert (outcome.role, outcome.state, outcome.error) == ("main", "built", None)
    assert builds == [(len(package.manifest.batch_buckets), b"")]
    assert proofs == [b"plan"]
    found = EngineCache(choice.engine_cache).find(engine_key(package, "fp32", "main", HOST, choice))
    assert found.read_bytes() == b"plan"
    assert not list(choice.engine_cache.glob("incoming-*"))


def test_what_is_there_is_not_built_again_and_times_help_the_next(
    package: ModelPackage, choice: EngineChoice, builds: list[tuple[int, bytes]], proofs: list[bytes]
) -> None:
    build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert outcome.state == "there already"
    other = EngineChoice("tensorrt", choice.engine_cache, settings=BuildSettings(optimization_level=5))
    (outcome,) = build_engines(package, "fp32", HOST, other, ONE_THREAD)
    assert outcome.state == "built"
    assert [timings for _, timings in builds] == [b"", b"times"]


def test_an_engine_that_answers_otherwise_is_not_kept(
    package: ModelPackage,
    choice: EngineChoice,
    builds: list[tuple[int, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise InvalidPackage("'logits' differs by 0.5, allowed is 0.001")

    monkeypatch.setattr("serving.engines.build_engines.prove_variant", fail)
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert outcome.state == "none"
    assert "does not pass the golden replay: 'logits' differs by 0.5" in str(outcome.error)
    assert_nothing_is_kept(package, choice)


@pytest.mark.usefixtures("builds")
def test_a_proof_on_anything_but_the_engine_is_none(
    package: ModelPackage, choice: EngineChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EngineHost(gpu="another", compute_capability="9.0", num_multiprocessors=1, tensorrt="11.4")
    monkeypatch.setattr("serving.engines.open_engine.detect_engine_host", lambda: other)
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert "it was built, and can not be used: no engine was built: wanted is one for another" in str(outcome.error)
    assert_nothing_is_kept(package, choice)


def test_a_cache_without_room_is_told_of_the_graph_that_lacks_its_engine(
    package: ModelPackage, choice: EngineChoice, builds: list[tuple[int, bytes]]
) -> None:
    choice.engine_cache.write_text("no folder")
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert isinstance(outcome.error, NotReady)
    assert f"engines can not be made in {choice.engine_cache}" in outcome.detail
    assert builds == []


def test_a_graph_with_foreign_operators_is_refused_before_anything_is_built(
    package: ModelPackage, choice: EngineChoice, builds: list[tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(package: ModelPackage, variant: str, role: str, folder: Path) -> Path:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
        node = helper.make_node("MatMulNBits", ["x", "w"], ["y"], domain="com.microsoft")
        save_onnx(helper.make_model(helper.make_graph([node], "int4", [value], [value])), folder / "model.onnx")
        return folder / "model.onnx"

    monkeypatch.setattr("serving.engines.build_engines.write_plain_graph", write)
    (outcome,) = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    assert isinstance(outcome.error, Unsupported)
    assert "com.microsoft.MatMulNBits" in outcome.detail
    assert builds == []
    assert_nothing_is_kept(package, choice)


def test_graphs_that_keep_their_state_in_place_need_no_engine(
    package: ModelPackage, choice: EngineChoice, builds: list[tuple[int, bytes]]
) -> None:
    graphs = package.manifest.variants["fp32"].graphs
    main = graphs.pop("main")
    graphs.update(decoder=main, copy=main)
    try:
        outcomes = build_engines(package, "fp32", HOST, choice, ONE_THREAD)
    finally:
        graphs.clear()
        graphs["main"] = main
    assert [(each.role, each.state, each.error) for each in outcomes] == [
        ("decoder", "none", None),
        ("copy", "none", None),
    ]
    assert builds == []
