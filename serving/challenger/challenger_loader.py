"""Brings challengers from the store into memory, on a thread of its own that nobody has to wait for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from registry.package import ModelPackage
from registry.reference import CHALLENGER, ModelRef, VersionInfo
from registry.store import PackageStore
from serving.config import ServerConfig
from serving.generative_loader import LoadedGenerative
from serving.metrics import Metrics
from serving.model_kinds import load, put_together
from serving.model_loader import LoadedModel
from serving.served import Served
from serving.surroundings import Surroundings
from serving.variants import HostFacts
from serving.workers import DecodePool
from tasks.errors import ErrorKind, InvalidPackage, TidegateError


class ChallengerLoader:
    """Its thread is a daemon: a challenger that takes for ever keeps no server from leaving."""

    def __init__(
        self, store: PackageStore, config: ServerConfig, metrics: Metrics, surroundings: Surroundings, host: HostFacts
    ) -> None:
        self._store, self._config, self._metrics, self._surroundings = store, config, metrics, surroundings
        self._host = host
        self._thread = DecodePool(1)

    async def resolve(self, name: str) -> VersionInfo | None:
        """The version that is called challenger now; None if there is none. Raises NotReady where the store is away."""
        try:
            ref = ModelRef(name=name, alias=CHALLENGER)
            return await self._thread.run(partial(self._store.resolve, ref))
        except TidegateError as error:
            if error.kind == ErrorKind.NOT_FOUND:
                return None
            raise

    async def fetch(self, info: VersionInfo) -> ModelPackage:
        """The package, in this host's cache. Raises InvalidPackage, or NotReady where it can not be had just now."""
        return await self._thread.run(partial(self._store.fetch, info, Path(self._config.cache_dir)))

    async def load(self, info: VersionInfo, package: ModelPackage, champion: Served | None) -> Served:
        """A version that has proved itself on this host. Raises NotReady, or InvalidPackage, also for one that is made
        for another task than the champion."""
        loaded = await self._thread.run(partial(self._load, package, champion))
        return put_together(info, loaded, self._metrics, self._surroundings)

    def _load(self, package: ModelPackage, champion: Served | None) -> LoadedModel | LoadedGenerative:
        check_same_task(package, champion)
        return load(package, self._config, self._host)

    def close(self) -> None:
        """The thread ends once it has done what it is at."""
        self._thread.close()


def check_same_task(package: ModelPackage, champion: Served | None) -> None:
    """Raises InvalidPackage where the two do not answer the same kind of request."""
    if champion is None or champion.package is None:
        return
    kind, wanted = (str(one.task_spec.__struct_config__.tag) for one in (package, champion.package))
    if kind != wanted:
        raise InvalidPackage(
            f"it is made for {kind}, and its champion for {wanted}: give the alias to a version that answers the same "
            "requests"
        )
