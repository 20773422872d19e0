from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from registry.package import ModelPackage
from serving.engine_choice import EngineChoice
from serving.engine_fallback import EngineFallback
from serving.engines.engine_cache import EngineCache
from serving.engines.engine_key import BuildSettings, EngineHost
from serving.engines.open_engine import engine_key
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.fake import FakeRuntime
from serving.variants import detect_host
from tasks.errors import NotReady
from tests.handmade import Handmade, build_package

HOST = EngineHost(gpu="NVIDIA L4", compute_capability="8.9", num_multiprocessors=58, tensorrt="10.16.1.11")
OTHER_HOST = EngineHost(gpu="NVIDIA L40S", compute_capability="8.9", num_multiprocessors=142, tensorrt="10.16.1.11")


@pytest.fixture
def choice(tmp_path: Path) -> tuple[EngineChoice, list[EngineFallback]]:
    """Of a deployment that wants engines, with all that it reports."""
    reported: list[EngineFallback] = []
    settings = BuildSettings(fp32_products="tf32")
    return EngineChoice("tensorrt", tmp_path / "engines", settings=settings, report=reported.append), reported


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was opened by ONNX Runtime, on a machine that has a GPU for it: provider and products."""
    calls: list[tuple[Any, ...]] = []

    def open_session(graph: Path, provider: str, threads: object, fp32_products: str) -> FakeRuntime:
        calls.append((provider, fp32_products))
        return FakeRuntime(lambda inputs: {}, (), ())

    monkeypatch.setattr("serving.open_runtime.OnnxRuntime", open_session)
    return calls


def on_host(monkeypatch: pytest.MonkeyPatch, host: EngineHost) -> None:
    monkeypatch.setattr("serving.engines.open_engine.detect_engine_host", lambda: host)


def test_without_tensorrt_the_same_graph_runs_on_cuda_and_is_reported(
    package: ModelPackage,
    choice: tuple[EngineChoice, list[EngineFallback]],
    opened: list[tuple[Any, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, reported = choice
    with caplog.at_level(logging.ERROR):
        open_runtime(package, "fp32", ONE_THREAD, engine=engine)
    assert opened == [("cuda", "tf32")]
    assert [(each.variant, each.role) for each in reported] == [("fp32", "main")]
    assert "pip install 'tidegate[tensorrt]'" in reported[0].reason
    assert "no engine for graph 'main' of colours, variant fp32" in caplog.text


def test_an_engine_for_another_gpu_is_not_used(
    package: ModelPackage,
    choice: tuple[EngineChoice, list[EngineFallback]],
    opened: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, reported = choice
    on_host(monkeypatch, HOST)
    key = engine_key(package, "fp32", "main", OTHER_HOST, engine)
    EngineCache(engine.engine_cache).keep(key, b"plan", num_profiles=4, build_s=1.0, built_at="")
    open_runtime(package, "fp32", ONE_THREAD, engine=engine)
    assert opened == [("cuda", "tf32")]
    assert "wanted is one for NVIDIA L4 (8.9, 58 multiprocessors)" in reported[0].reason
    assert "there are engines for NVIDIA L40S" in reported[0].reason


def test_a_damaged_engine_is_not_used(
    package: ModelPackage,
    choice: tuple[EngineChoice, list[EngineFallback]],
    opened: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, reported = choice
    on_host(monkeypatch, HOST)
    cache, key = EngineCache(engine.engine_cache), engine_key(package, "fp32", "main", HOST, engine)
    cache.keep(key, b"plan", num_profiles=4, build_s=1.0, built_at="")
    cache.find(key).write_bytes(b"plam")
    open_runtime(package, "fp32", ONE_THREAD, engine=engine)
    assert opened
    assert "damaged or swapped" in reported[0].reason


def test_a_decoder_runs_where_its_variant_asks_to_and_is_no_fallback(
    package: ModelPackage, choice: tuple[EngineChoice, list[EngineFallback]], opened: list[tuple[Any, ...]]
) -> None:
    engine, reported = choice
    main = package.manifest.variants["fp32"].graphs["main"]
    package.manifest.variants["fp32"].graphs["decoder"] = main
    try:
        open_runtime(package, "fp32", ONE_THREAD, "decoder", engine)
    finally:
        del package.manifest.variants["fp32"].graphs["decoder"]
    assert opened == [("cpu", "tf32")]
    assert reported == []


def test_a_variant_runs_where_it_asks_to_unless_a_deployment_wants_engines(
    package: ModelPackage, opened: list[tuple[Any, ...]]
) -> None:
    open_runtime(package, "fp32", ONE_THREAD)
    assert opened == [("cpu", "fp32")]


@pytest.mark.skipif("cuda" in detect_host().providers, reason="this machine has a GPU, and runs the graph there")
def test_without_a_gpu_nothing_runs_on_the_processor_instead(
    tmp_path: Path, choice: tuple[EngineChoice, list[EngineFallback]]
) -> None:
    package = build_package(tmp_path / "colours", Handmade(num_golden=1, num_profile=1))
    with pytest.raises(NotReady, match=r"no engine here \(.*pip install.*\), and can not run without one: .*CUDA"):
        open_runtime(package, "fp32", ONE_THREAD, engine=choice[0])
