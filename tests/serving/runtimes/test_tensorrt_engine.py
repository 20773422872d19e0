"""What only a GPU with TensorRT can show: engines of whole packages, and what becomes of engines that do not fit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from registry.package import ModelPackage
from serving.config import ServerConfig
from serving.engine_choice import EngineChoice
from serving.engines.batch_profiles import batch_profiles
from serving.engines.build_engines import build_engines
from serving.engines.detect_host import detect_engine_host
from serving.engines.engine_cache import EngineCache
from serving.engines.engine_key import EngineHost
from serving.engines.open_engine import engine_key, open_engine
from serving.model_loader import load_model
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.tensorrt_engine import TensorRtEngine
from serving.variants import HostFacts
from tasks.errors import BadInput, NotReady, Unsupported
from tests.handmade import Handmade, build_package
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter

BUILDERS = {
    "classification": lambda folder: build_package(folder, Handmade(num_golden=2, num_profile=8)),
    "detection": build_detector,
    "segmentation": build_segmenter,
}


@pytest.fixture(scope="module")
def host() -> EngineHost:
    try:
        return detect_engine_host()
    except NotReady as error:
        pytest.skip(f"no TensorRT engine can be built here: {error}")


@pytest.fixture(scope="module", params=list(BUILDERS))
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, host: EngineHost) -> ModelPackage:
    return BUILDERS[request.param](tmp_path_factory.mktemp("package") / "built")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, host: EngineHost) -> ModelPackage:
    return BUILDERS["classification"](tmp_path_factory.mktemp("package") / "colours")


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory, colours: ModelPackage, host: EngineHost) -> EngineChoice:
    """A deployment that has the engine of `colours`."""
    made = EngineChoice("tensorrt", tmp_path_factory.mktemp("engines"))
    (outcome,) = build_engines(colours, "fp32", host, made, ONE_THREAD)
    assert outcome.state == "built", outcome.detail
    return made


def test_a_package_is_built_proved_and_served(package: ModelPackage, host: EngineHost, tmp_path: Path) -> None:
    config = ServerConfig(engine="tensorrt", engine_cache=str(tmp_path / "engines"), runtime_threads=1)
    (outcome,) = build_engines(package, "fp32", host, config.engine_choice, ONE_THREAD)
    assert (outcome.state, outcome.error) == ("built", None)
    loaded = load_model(package, config, HostFacts((), ("cpu", "cuda")))
    assert isinstance(loaded.runtime, TensorRtEngine)
    assert loaded.fallbacks == ()
    loaded.runtime.close()


def test_more_than_it_was_built_for_is_refused(colours: ModelPackage, choice: EngineChoice) -> None:
    engine = open_engine(colours, "fp32", "main", choice)
    largest = colours.manifest.batch_buckets[-1]
    with pytest.raises(BadInput, match=f"built for up to image .{largest}, 32, 32, 3"):
        engine.run({"image": np.zeros((largest + 1, 32, 32, 3), np.uint8)})
    engine.close()


def test_an_output_over_the_memory_of_an_input_is_refused(colours: ModelPackage, choice: EngineChoice) -> None:
    engine = open_engine(colours, "fp32", "main", choice)
    image = engine.allocate(msgspec.structs.replace(engine.inputs[0], shape=(8, 32, 32, 3)))
    with pytest.raises(Unsupported, match="may still be reading"):
        engine.bind({"image": image.rows(0, 2)}, {"logits": image.rows(1, 3)})
    engine.close()


def test_an_engine_of_another_graph_is_refused(colours: ModelPackage, choice: EngineChoice, host: EngineHost) -> None:
    key = engine_key(colours, "fp32", "main", host, choice)
    plan = EngineCache(choice.engine_cache).find(key).read_bytes()
    graph, manifest = colours.graph("fp32"), colours.manifest
    profiles = batch_profiles(graph, manifest.batch_buckets, manifest.image_sizes)
    renamed = msgspec.structs.replace(graph, outputs=graph.outputs[:1])
    with pytest.raises(NotReady, match="the engine has the outputs"):
        TensorRtEngine(plan, renamed, profiles)
    with pytest.raises(NotReady, match="profiles"):
        TensorRtEngine(plan, graph, profiles[1:])
    with pytest.raises(NotReady, match="failed to load the engine"):
        TensorRtEngine(b"no plan", graph, profiles)
