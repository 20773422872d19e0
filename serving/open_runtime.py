"""From a graph of a package to what executes it on this host: the one place that knows which engine that is."""

from __future__ import annotations

import logging

from registry.coded_graph import read_coded_graph
from registry.package import ModelPackage
from serving.engine_choice import ONNX_RUNTIME, EngineChoice
from serving.engine_fallback import EngineFallback
from serving.engines.obstacles import STATEFUL_ROLES
from serving.engines.open_engine import open_engine
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.execution_provider import Provider
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.runtime import Runtime
from serving.runtimes.triton_client import TritonClient
from serving.runtimes.triton_memory import MessageInputs, SharedInputs
from serving.runtimes.triton_origin import Origin
from serving.runtimes.triton_remote import TritonRemote
from tasks.errors import InvalidPackage, NotFound, NotReady, Unsupported

log = logging.getLogger(__name__)


def open_runtime(
    package: ModelPackage,
    variant: str,
    threads: ComputeThreads,
    role: str = "main",
    engine: EngineChoice = ONNX_RUNTIME,
) -> Runtime:
    """A graph of the variant, ready to run. Raises NotReady where this host lacks what it takes, and InvalidPackage for
    whatever else the engine complains about: the package can not be served."""
    if engine.name == "triton":
        return open_triton(package, variant, role, engine)
    if engine.name == "tensorrt" and role not in STATEFUL_ROLES:
        return open_tensorrt(package, variant, threads, role, engine)
    provider = package.variant(variant).requires.provider
    return open_onnx_runtime(package, variant, threads, role, provider, engine)


def open_tensorrt(
    package: ModelPackage, variant: str, threads: ComputeThreads, role: str, engine: EngineChoice
) -> Runtime:
    """The engine that was built for this GPU. Without one the same graph on the same GPU, in the same precision, said
    aloud; never the processor. Raises NotReady where that can not be had either."""
    try:
        return open_engine(package, variant, role, engine)
    except (NotFound, NotReady, Unsupported) as error:
        reason = str(error)
    name = package.manifest.name
    log.error(
        "no engine for graph %r of %s, variant %s: %s; ONNX Runtime is to run it on CUDA", role, name, variant, reason
    )
    engine.report(EngineFallback(variant, role, reason))
    try:
        return open_onnx_runtime(package, variant, threads, role, "cuda", engine)
    except (NotReady, InvalidPackage) as error:
        raise NotReady(f"{name!r} has no engine here ({reason}), and can not run without one: {error}") from error


def open_onnx_runtime(
    package: ModelPackage, variant: str, threads: ComputeThreads, role: str, provider: Provider, engine: EngineChoice
) -> OnnxRuntime:
    graph, path = package.graph(variant, role), package.graph_path(variant, role)
    source = path if graph.decodes_to is None else read_coded_graph(path, graph.decodes_to)
    try:
        return OnnxRuntime(source, provider, threads, fp32_products=engine.settings.fp32_products)
    except NotReady:
        raise
    except Exception as error:
        raise InvalidPackage(f"variant {variant!r} of {package.manifest.name!r} does not load: {error}") from error


def open_triton(package: ModelPackage, variant: str, role: str, engine: EngineChoice) -> TritonRemote:
    """On the server at `triton_url`, if it has this very variant of this very package. Raises NotReady if not."""
    name = package.manifest.name
    if role != "main":
        raise Unsupported(
            f"{name!r} generates token by token, and Triton serves stages that are batched, no others; serve it with "
            "engine onnxruntime"
        )
    client = TritonClient(engine.triton_url, engine.triton_in_flight)
    shared = engine.triton_transport == "shared_memory"
    inputs = SharedInputs(client, engine.triton_in_flight) if shared else MessageInputs()
    try:
        origin = Origin(digest=package.digest, variant=variant)
        return TritonRemote(client, inputs, name, origin, engine.triton_in_flight)
    except BaseException:
        client.close()
        raise
