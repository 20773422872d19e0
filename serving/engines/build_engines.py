"""The step of a deployment that makes engines: built apart, proved as a server will run them, and only then kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple

from registry.package import ModelPackage
from registry.plain_graph import write_plain_graph
from serving.engine_choice import EngineChoice
from serving.engine_fallback import EngineFallback
from serving.engines.batch_profiles import batch_profiles
from serving.engines.build_plan import build_plan
from serving.engines.byte_casts import move_casts
from serving.engines.engine_cache import INCOMING, EngineCache
from serving.engines.engine_key import EngineHost, EngineKey
from serving.engines.obstacles import STATEFUL_ROLES, build_obstacle
from serving.engines.open_engine import engine_key
from serving.model_kinds import prove_variant
from serving.runtimes.compute_threads import ComputeThreads
from tasks.errors import InvalidPackage, NotFound, NotReady, TidegateError, Unsupported


class EngineOutcome(NamedTuple):
    """What became of one graph. `error`: why there is no engine, of a graph that should have one."""

    variant: str
    role: str
    state: Literal["built", "there already", "none"]
    detail: str
    error: TidegateError | None = None


def build_engines(
    package: ModelPackage, variant: str, host: EngineHost, choice: EngineChoice, threads: ComputeThreads
) -> list[EngineOutcome]:
    """Engines of the variant's graphs in the cache of `choice`. What fails leaves the cache as it was, and is told.
    Takes minutes, and the GPU of this machine, which `host` describes."""
    cache = EngineCache(choice.engine_cache)
    roles = package.variant(variant).graphs
    keys = [engine_key(package, variant, role, host, choice) for role in roles if role not in STATEFUL_ROLES]
    kept = [
        EngineOutcome(variant, role, "none", "keeps its state in place: ONNX Runtime runs it")
        for role in roles
        if role in STATEFUL_ROLES
    ]
    if all(is_there(cache, key) for key in keys):
        return kept + [EngineOutcome(variant, key.role, "there already", "nothing to do") for key in keys]
    try:
        seconds = build_and_prove(package, keys, choice, threads)
    except OSError as error:
        unkept = NotReady(f"engines can not be made in {choice.engine_cache}: {error}")
        return kept + [EngineOutcome(variant, key.role, "none", str(unkept), unkept) for key in keys]
    except TidegateError as error:
        return kept + [EngineOutcome(variant, key.role, "none", str(error), error) for key in keys]
    return kept + [
        EngineOutcome(variant, key.role, "built", f"{s:.0f} s") for key, s in zip(keys, seconds, strict=True)
    ]


def is_there(cache: EngineCache, key: EngineKey) -> bool:
    try:
        cache.find(key)
    except NotFound:
        return False
    return True


def build_and_prove(
    package: ModelPackage, keys: Sequence[EngineKey], choice: EngineChoice, threads: ComputeThreads
) -> list[float]:
    """All engines of one variant, in a cache of their own until the golden set was replayed on them; seconds of each.
    Raises what kept one from being built, or InvalidPackage where they answer otherwise than the exporting host."""
    cache = EngineCache(choice.engine_cache)
    cache.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=INCOMING, dir=cache.folder) as folder:
        trial = EngineCache(Path(folder))
        seconds = [build_one(package, key, trial, cache) for key in keys]
        on_trial = replace(choice, name="tensorrt", engine_cache=trial.folder, report=refuse_fallback)
        try:
            prove_variant(package, keys[0].variant, threads, on_trial)
        except InvalidPackage as error:
            raise InvalidPackage(f"it was built, and does not pass the golden replay: {error}") from error
        for key in keys:
            trial.move_to(cache, key)
    return seconds


def build_one(package: ModelPackage, key: EngineKey, trial: EngineCache, cache: EngineCache) -> float:
    """One engine into `trial`, with the help of the times of kernels in `cache`; how many seconds it took."""
    manifest, graph = package.manifest, package.graph(key.variant, key.role)
    profiles = batch_profiles(graph, manifest.batch_buckets, manifest.image_sizes)
    with tempfile.TemporaryDirectory() as folder:
        path = write_plain_graph(package, key.variant, key.role, Path(folder))
        move_casts(path)
        if obstacle := build_obstacle(path):
            raise Unsupported(obstacle)
        started_at = perf_counter()
        built = build_plan(path, profiles, key.settings, cache.timings(key))
        seconds = perf_counter() - started_at
    cache.keep_timings(key, built.timings)
    trial.keep(key, built.plan, len(profiles), seconds, datetime.now(UTC).isoformat(timespec="seconds"))
    return seconds


def refuse_fallback(fallback: EngineFallback) -> None:
    """Proof of an engine is no proof where anything else runs."""
    raise NotReady(f"it was built, and can not be used: {fallback.reason}")
