"""What the server knows of the store: which models are meant, which version each reference names, and whether the
registry answers. Where it does not, what was served last goes on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from registry.reference import CHAMPION, ModelRef, VersionInfo
from registry.store import PackageStore
from serving.last_good import LastGood
from serving.metrics import Metrics
from tasks.errors import ErrorKind, TidegateError

Result = TypeVar("Result")
DEFINITE = frozenset({ErrorKind.NOT_FOUND, ErrorKind.BAD_INPUT})
"""What a registry that works may answer. Everything else means that it could not be asked."""
log = logging.getLogger(__name__)


class OnThread(Protocol):
    """Runs slow work away from the event loop."""

    def __call__(self, work: Callable[[], Result]) -> Awaitable[Result]: ...


class StoreView:
    """Lives on the event loop; `on_thread` is where the store is asked."""

    def __init__(self, store: PackageStore, last_good: LastGood, metrics: Metrics, on_thread: OnThread) -> None:
        self._store, self._last_good, self._metrics, self._on_thread = store, last_good, metrics, on_thread

    async def champions(self) -> list[ModelRef]:
        """Every model that has a champion; those that were served last if the store is away."""
        try:
            names = await self._on_thread(self._store.names)
            versions = {name: await self._on_thread(partial(self._store.versions, name)) for name in names}
        except Exception as error:
            self._note_outage(error)
            return [ModelRef.parse(reference) for reference in self._last_good.references()]
        self._metrics.registry_up = True  # of an empty registry nothing is resolved that would say so
        return [ModelRef.parse(n) for n, known in versions.items() if any(CHAMPION in v.aliases for v in known)]

    async def resolve(self, ref: ModelRef, served: VersionInfo | None) -> VersionInfo:
        """The version that the reference names now. `served`: what it named before, for when the store is away.

        Raises NotFound or BadInput where the store says so, and anything else where nothing was ever known."""
        try:
            info = await self._on_thread(partial(self._store.resolve, ref))
            self._metrics.registry_up = True
            return info
        except Exception as error:
            if isinstance(error, TidegateError) and error.kind in DEFINITE:
                self._metrics.registry_up = True
                raise
            self._note_outage(error)
            known = served or self._last_good.find(str(ref))
            if known is None:
                raise
            return known

    def _note_outage(self, error: Exception) -> None:
        """Said once, until the registry has answered again."""
        if self._metrics.registry_up:
            log.warning("the registry can not be reached: %s; what is known goes on being served", error)
        self._metrics.registry_up = False
