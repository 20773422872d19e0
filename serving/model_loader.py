"""From a verified package to something that may answer requests: choose, load, warm, prove. Runs on its own thread.

Nothing here touches the event loop, so live traffic of other versions goes on meanwhile.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from monitoring.monitor import Monitor, MonitorConfig
from monitoring.profile import decode_profile
from registry.manifest import Graph
from registry.package import ModelPackage
from serving.batch_plan import BatchPlan
from serving.config import ServerConfig
from serving.engine_fallback import EngineFallback
from serving.open_runtime import open_runtime
from serving.relay_plan import RelayPlan
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.onnx_runtime import NUMPY_TYPES
from serving.runtimes.runtime import RemoteRuntime, Runtime
from serving.self_test import replay_golden
from serving.variants import HostFacts, any_host, choose_variant
from serving.workers import available_cpus
from tasks.errors import InvalidPackage
from tasks.task import Array, Task, TensorSpec, open_task

WARM_UP_RUNS = 3
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A variant that proved itself on this host and waits for requests."""

    package: ModelPackage
    variant: str
    task: Task
    runtime: Runtime
    plan: BatchPlan
    monitor: Monitor
    fallbacks: tuple[EngineFallback, ...] = ()


def load_model(package: ModelPackage, config: ServerConfig, host: HostFacts) -> LoadedModel:
    """Raises NotReady where this host can not run the model, InvalidPackage where the model does not prove itself."""
    name = choose_variant(package, config.variant, any_host(package) if config.engine == "triton" else host)
    variant = package.variant(name)
    task = open_task(package.task_spec_of(name))
    threads = ComputeThreads(config.runtime_threads or available_cpus(), config.between_operators)
    fallbacks: list[EngineFallback] = []
    engine = replace(config.engine_choice, report=fallbacks.append)
    runtime = open_runtime(package, name, threads, engine=engine)
    try:
        check_interface(variant.graphs["main"], runtime)
        seconds = warm_up(runtime, usable_sizes(package, config.max_batch), package.manifest.image_sizes[0])
        plan = RelayPlan(seconds, runtime.slots) if isinstance(runtime, RemoteRuntime) else BatchPlan(seconds)
        replay_golden(package, name, task, runtime)
        monitor = Monitor(decode_profile(package.profile_bytes(name)), monitor_config(config))
    except BaseException:
        runtime.close()
        raise
    return LoadedModel(package, name, task, runtime, plan, monitor, tuple(fallbacks))


def check_interface(promised: Graph, runtime: Runtime) -> None:
    """The manifest must describe the tensors that the graph really has."""
    for kind, manifest, graph in (
        ("inputs", promised.inputs, runtime.inputs),
        ("outputs", promised.outputs, runtime.outputs),
    ):
        if tuple(manifest) != tuple(graph):
            raise InvalidPackage(f"the manifest promises {kind} {describe(manifest)}; the graph has {describe(graph)}")


def describe(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs)


def usable_sizes(package: ModelPackage, cap: int | None) -> list[int]:
    """The manifest's batch sizes, or numbers of slots, up to the configured cap; at least the smallest."""
    sizes = sorted(package.manifest.batch_buckets)
    if cap is None:
        return sizes
    return [size for size in sizes if size <= cap] or sizes[:1]


def warm_up(runtime: Runtime, buckets: list[int], image_size: tuple[int, int]) -> dict[int, float]:
    """Run every batch size; bucket → median seconds. The first run of each is for allocators and is not counted."""
    seconds: dict[int, float] = {}
    for bucket in buckets:
        inputs = example_inputs(runtime.inputs, bucket, image_size)
        runtime.run(inputs)
        runs = []
        for _ in range(WARM_UP_RUNS):
            started_at = perf_counter()
            runtime.run(inputs)
            runs.append(perf_counter() - started_at)
        seconds[bucket] = statistics.median(runs)
    return seconds


def example_inputs(specs: tuple[TensorSpec, ...], num_rows: int, image_size: tuple[int, int]) -> Mapping[str, Array]:
    """Zeros of the right shapes; free axes of a picture [batch, height, width, …] get its usual size."""
    free = dict(enumerate((num_rows, *image_size)))
    return {
        spec.name: np.zeros(
            [n if n >= 0 else free.get(i, 1) for i, n in enumerate(spec.shape)], NUMPY_TYPES[spec.dtype]
        )
        for spec in specs
    }


def monitor_config(config: ServerConfig) -> MonitorConfig:
    return MonitorConfig(
        window_size=config.drift_window,
        min_window=config.drift_min_window,
        false_alarms_per_day=config.drift_false_alarms_per_day,
        check_interval_s=config.drift_check_interval_s,
    )
