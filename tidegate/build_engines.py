"""TensorRT engines for what a server with the same settings serves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from registry.package import ModelPackage
from registry.package_cache import evict
from registry.reference import CHAMPION, VersionInfo
from registry.store import ModelRef, PackageStore
from serving.config_sources import load_config
from serving.engines.build_engines import EngineOutcome, build_engines
from serving.engines.detect_host import detect_engine_host
from serving.runtimes.compute_threads import ComputeThreads
from serving.variants import HostFacts, choose_variant, detect_host, find_obstacle
from serving.workers import available_cpus
from tasks.errors import NotReady

ALL = "all"
"""In the place of a variant's name: every one that this machine may run."""


class BuiltGraph(NamedTuple):
    """One graph of one version."""

    info: VersionInfo
    outcome: EngineOutcome


def build_for_server(store: PackageStore, references: Sequence[str], variant: str | None) -> Iterator[BuiltGraph]:
    """One after the other, as they are done. `references`: as for a server, whose settings say what none of them does;
    `variant`: instead of that of the settings. Engines of other packages go in the end, the least used first, where
    they take more than the budget of the cache. Raises NotReady where this machine has no GPU or no TensorRT."""
    config = load_config(os.environ, {"models": tuple(references) or None, "variant": variant})
    engine_host, host = detect_engine_host(), detect_host()
    threads = ComputeThreads(available_cpus())
    wanted = set()
    for info in versions_to_serve(store, config.models):
        package = store.fetch(info, Path(config.cache_dir))
        wanted.add(package.digest)
        for name in variants_of(package, config.variant, host):
            for outcome in build_engines(package, name, engine_host, config.engine_choice, threads):
                yield BuiltGraph(info, outcome)
    evict(config.engine_choice.engine_cache, config.cache_budget_bytes, wanted)


def versions_to_serve(store: PackageStore, references: Sequence[str]) -> list[VersionInfo]:
    """Those that are named, or every champion."""
    if references:
        return [store.resolve(ModelRef.parse(reference)) for reference in references]
    return [info for name in store.names() for info in store.versions(name) if CHAMPION in info.aliases]


def variants_of(package: ModelPackage, wanted: str, host: HostFacts) -> list[str]:
    """The one that a server chooses, or all that it may be told to. Raises NotReady where there is none."""
    if wanted != ALL:
        return [choose_variant(package, wanted, host)]
    obstacles = {name: find_obstacle(package, name, host) for name in package.manifest.variants}
    if all(obstacles.values()):
        reasons = "; ".join(f"{name}: {obstacle}" for name, obstacle in obstacles.items())
        raise NotReady(f"no variant of {package.manifest.name!r} can run here: {reasons}")
    return [name for name, obstacle in obstacles.items() if not obstacle]
