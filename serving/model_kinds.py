"""The kinds of models that packages hold: how each is loaded, proved and put into service."""

from __future__ import annotations

from registry.package import ModelPackage
from registry.reference import VersionInfo
from serving.config import ServerConfig
from serving.engine_choice import ONNX_RUNTIME, EngineChoice
from serving.generation.self_test import replay_prompts
from serving.generative_loader import LoadedGenerative, load_generative, open_generative
from serving.generative_model import GenerativeModel
from serving.metrics import Metrics
from serving.model_loader import LoadedModel, load_model
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ComputeThreads
from serving.self_test import replay_golden
from serving.served import Served
from serving.served_model import ServedModel
from serving.surroundings import Surroundings
from serving.variants import HostFacts
from tasks.generative_spec import GenerativeSpec
from tasks.task import open_task


def generates(package: ModelPackage) -> bool:
    """Whether the model answers token by token."""
    return isinstance(package.task_spec, GenerativeSpec)


def load(package: ModelPackage, config: ServerConfig, host: HostFacts) -> LoadedModel | LoadedGenerative:
    """Takes its time, on a thread. Raises NotReady where this host can not run the model, InvalidPackage where it does
    not prove itself."""
    return load_generative(package, config, host) if generates(package) else load_model(package, config, host)


def put_together(
    info: VersionInfo, loaded: LoadedModel | LoadedGenerative, metrics: Metrics, surroundings: Surroundings
) -> Served:
    """On the event loop: what answers requests from now on."""
    name, version = info.name, info.version
    if isinstance(loaded, LoadedModel):
        statistics = metrics.for_model(name, version, loaded.plan.buckets)
        statistics.engine_fallbacks = loaded.fallbacks
        return ServedModel(name, version, loaded, statistics, surroundings)
    statistics = metrics.for_model(name, version, (1,) if loaded.encoder_plan is None else loaded.encoder_plan.buckets)
    statistics.engine_fallbacks = loaded.fallbacks
    generation = metrics.for_generation(name, version, loaded.graphs.decoder.num_slots)
    return GenerativeModel(name, version, loaded, statistics, generation, surroundings)


def prove_variant(
    package: ModelPackage, variant: str, threads: ComputeThreads, engine: EngineChoice = ONNX_RUNTIME
) -> None:
    """Open a variant on this host, replay its golden set, and close it. Raises InvalidPackage or NotReady."""
    if generates(package):
        graphs = open_generative(package, variant, 1, threads, engine)
        try:
            replay_prompts(package, variant, graphs.task, graphs.decoder, graphs.encoder)
        finally:
            graphs.close()
        return
    runtime = open_runtime(package, variant, threads, engine=engine)
    try:
        replay_golden(package, variant, open_task(package.task_spec_of(variant)), runtime)
    finally:
        runtime.close()


def default_timeout_s(model: Served, config: ServerConfig) -> float | None:
    """Seconds for a caller who names no deadline. The last token may well take longer than any picture."""
    return config.request_timeout_s if isinstance(model, ServedModel) else config.generation_timeout_s
