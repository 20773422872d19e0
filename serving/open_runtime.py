"""From a graph of a package to what executes it on this host: the one place that knows which engine that is."""

from __future__ import annotations

from registry.coded_graph import read_coded_graph
from registry.package import ModelPackage
from serving.engine_choice import ONNX_RUNTIME, EngineChoice
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.runtime import Runtime
from serving.runtimes.triton_client import TritonClient
from serving.runtimes.triton_memory import MessageInputs, SharedInputs
from serving.runtimes.triton_origin import Origin
from serving.runtimes.triton_remote import TritonRemote
from tasks.errors import InvalidPackage, NotReady, Unsupported


def open_runtime(
    package: ModelPackage,
    variant: str,
    threads: ComputeThreads,
    role: str = "main",
    engine: EngineChoice = ONNX_RUNTIME,
) -> Runtime:
    """A graph of the variant, ready to run. Raises NotReady where this host lacks what it takes, and InvalidPackage for
    whatever else the engine complains about: the package can not be served."""
    if engine.name == "onnxruntime":
        return open_onnx_runtime(package, variant, threads, role)
    if engine.name == "triton":
        return open_triton(package, variant, role, engine)
    raise Unsupported(f"graphs can not be executed by {engine.name} here; use engine onnxruntime")


def open_onnx_runtime(package: ModelPackage, variant: str, threads: ComputeThreads, role: str) -> OnnxRuntime:
    """On the provider that the variant asks for."""
    graph, path = package.graph(variant, role), package.graph_path(variant, role)
    source = path if graph.decodes_to is None else read_coded_graph(path, graph.decodes_to)
    try:
        return OnnxRuntime(source, package.variant(variant).requires.provider, threads)
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
