"""From a graph of a package to the engine that was built of it for this machine, if there is one."""

from __future__ import annotations

from registry.package import ModelPackage
from serving.engine_choice import EngineChoice
from serving.engines.batch_profiles import batch_profiles
from serving.engines.detect_host import detect_engine_host
from serving.engines.engine_cache import EngineCache
from serving.engines.engine_key import EngineHost, EngineKey
from serving.runtimes.tensorrt_engine import TensorRtEngine


def open_engine(package: ModelPackage, variant: str, role: str, choice: EngineChoice) -> TensorRtEngine:
    """Ready to run. Raises NotFound where none was built, NotReady where it does not load, Unsupported where there can
    be none."""
    key = engine_key(package, variant, role, detect_engine_host(), choice)
    plan = EngineCache(choice.engine_cache).find(key)
    graph, manifest = package.graph(variant, role), package.manifest
    profiles = batch_profiles(graph, manifest.batch_buckets, manifest.image_sizes)
    return TensorRtEngine(plan.read_bytes(), graph, profiles)


def engine_key(package: ModelPackage, variant: str, role: str, host: EngineHost, choice: EngineChoice) -> EngineKey:
    return EngineKey(package=package.digest, variant=variant, role=role, host=host, settings=choice.settings)
