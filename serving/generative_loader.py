"""From a verified package that generates to something that may answer requests: open, warm, prove. The sibling of
serving/model_loader.py, on the same thread of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from monitoring.monitor import Monitor
from monitoring.profile import decode_profile
from registry.decoder_interface import COPY, DECODER, ENCODER
from registry.package import ModelPackage
from serving.batch_plan import BatchPlan
from serving.config import ServerConfig
from serving.engine_choice import ONNX_RUNTIME, EngineChoice
from serving.engine_fallback import EngineFallback
from serving.generation.constraint import ConstraintCompiler
from serving.generation.decoder_costs import DecoderCosts, measure_costs
from serving.generation.graph_decoder import GraphDecoder
from serving.generation.self_test import replay_prompts
from serving.model_loader import check_interface, monitor_config, usable_sizes, warm_up
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.runtime import Runtime
from serving.variants import HostFacts, choose_variant
from serving.workers import available_cpus
from tasks.generation import GenerativeTask
from tasks.generative_spec import GenerativeSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerativeGraphs:
    """A variant's task and graphs, open on this host's engine. `encoder`: of a task that has one."""

    task: GenerativeTask
    decoder: GraphDecoder
    constraints: ConstraintCompiler
    encoder: Runtime | None

    def close(self) -> None:
        self.decoder.close()
        if self.encoder is not None:
            self.encoder.close()


@dataclass(frozen=True)
class LoadedGenerative:
    """A variant that generates, proved itself on this host and waits for requests. `encoder_plan`: how the encoder is
    run, where there is one."""

    package: ModelPackage
    variant: str
    graphs: GenerativeGraphs
    encoder_plan: BatchPlan | None
    monitor: Monitor
    fallbacks: tuple[EngineFallback, ...] = ()


def load_generative(package: ModelPackage, config: ServerConfig, host: HostFacts) -> LoadedGenerative:
    """Raises NotReady where this host can not run the model, InvalidPackage where the model does not prove itself."""
    name = choose_variant(package, config.variant, host)
    num_slots = usable_sizes(package, config.max_slots)[-1]
    threads = ComputeThreads(config.runtime_threads or available_cpus(), config.between_operators)
    fallbacks: list[EngineFallback] = []
    engine = replace(config.engine_choice, report=fallbacks.append)
    graphs = open_generative(package, name, num_slots, threads, engine)
    try:
        encoder_plan = warm_encoder(package, config, graphs.encoder)
        log.info("%s: %s", package.manifest.name, told(measure_costs(graphs.decoder)))
        replay_prompts(package, name, graphs.task, graphs.decoder, graphs.encoder)
        monitor = Monitor(decode_profile(package.profile_bytes(name)), monitor_config(config))
    except BaseException:
        graphs.close()
        raise
    return LoadedGenerative(package, name, graphs, encoder_plan, monitor, tuple(fallbacks))


def open_generative(
    package: ModelPackage, variant: str, num_slots: int, threads: ComputeThreads, engine: EngineChoice = ONNX_RUNTIME
) -> GenerativeGraphs:
    """The graphs as they are, not warmed and not proved. An encoder gets half of the threads, so that streams go on
    while it works; copying a slot is bound by memory, and gets one.

    Raises NotReady where this host can not run them, InvalidPackage for graphs that the manifest does not describe."""
    spec = package.task_spec
    assert isinstance(spec, GenerativeSpec), "other models are opened by open_runtime"
    task = package.open_generative_task(variant)
    numbers = {DECODER: threads.number, COPY: 1, ENCODER: max(1, threads.number // 2)}
    runtimes: dict[str, Runtime] = {}
    try:
        for role, graph in package.variant(variant).graphs.items():
            runtimes[role] = open_runtime(package, variant, replace(threads, number=numbers[role]), role, engine)
            check_interface(graph, runtimes[role])
        decoder = GraphDecoder(runtimes[DECODER], runtimes[COPY], num_slots, task.context)
    except BaseException:
        for runtime in runtimes.values():
            runtime.close()
        raise
    constraints = ConstraintCompiler(package.folder / spec.tokenizer, decoder.vocabulary, task.end_tokens)
    return GenerativeGraphs(task, decoder, constraints, runtimes.get(ENCODER))


def warm_encoder(package: ModelPackage, config: ServerConfig, runtime: Runtime | None) -> BatchPlan | None:
    """Its batches are of the sizes that slots come in: more pictures at once than answers are of no use."""
    if runtime is None:
        return None
    sizes = [
        size for size in usable_sizes(package, config.max_slots) if config.max_batch is None or size <= config.max_batch
    ]
    return BatchPlan(warm_up(runtime, sizes or [1], package.manifest.image_sizes[0]))


def told(costs: DecoderCosts) -> str:
    """For the log."""
    steps = ", ".join(f"{size}: {1000 * seconds:.2f}" for size, seconds in costs.step_s.items())
    return f"ms of a step by slots: {steps}; of each token of a prompt: {1000 * costs.prompt_token_s:.3f}"
