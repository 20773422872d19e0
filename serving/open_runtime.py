"""From a graph of a package to what executes it on this host: the one place that knows which engine that is."""

from __future__ import annotations

from registry.package import ModelPackage
from serving.engine_choice import ONNX_RUNTIME, EngineChoice
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.runtime import Runtime
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
    raise Unsupported(f"graphs can not be executed by {engine.name} here; use engine onnxruntime")


def open_onnx_runtime(package: ModelPackage, variant: str, threads: ComputeThreads, role: str) -> OnnxRuntime:
    """On the provider that the variant asks for."""
    graph, provider = package.graph_path(variant, role), package.variant(variant).requires.provider
    try:
        return OnnxRuntime(graph, provider, threads)
    except NotReady:
        raise
    except Exception as error:
        raise InvalidPackage(f"variant {variant!r} of {package.manifest.name!r} does not load: {error}") from error
