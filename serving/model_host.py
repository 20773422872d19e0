"""Owns what is loaded: follows the store, brings new versions in beside the old ones, lets the old ones finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from registry.package import ModelPackage
from registry.reference import ModelRef, VersionInfo
from registry.store import PackageStore
from serving.cache_upkeep import keep_up
from serving.challenger.challengers import Challengers
from serving.config import ServerConfig
from serving.last_good import LastGood
from serving.metrics import Metrics
from serving.model_kinds import load, put_together
from serving.model_slot import ModelSlot, ModelState, State
from serving.retirements import Retirements
from serving.served import Served
from serving.store_view import DEFINITE, StoreView
from serving.surroundings import Surroundings
from serving.upstream.upstreams import Upstreams
from serving.variants import HostFacts, detect_host
from tasks.errors import ErrorKind, NotFound, NotReady, TidegateError, Unsupported

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class ModelHost:
    """Name and version → the model that answers. Lives on one event loop; loading happens on a thread of its own."""

    def __init__(self, store: PackageStore, config: ServerConfig, metrics: Metrics, surroundings: Surroundings) -> None:
        self._store, self._config, self._metrics, self._surroundings = store, config, metrics, surroundings
        self._cache = Path(config.cache_dir)
        self._last_good = LastGood(self._cache)
        self._host: HostFacts = detect_host()
        self._upstreams = Upstreams(config, metrics, surroundings.drift_feed, surroundings.aftermath)
        self._slots: dict[str, ModelSlot] = {}
        self._by_name: dict[str, Served] = {}
        self._by_version: dict[tuple[str, str], Served] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._view = StoreView(store, self._last_good, metrics, self._on_loader)
        self.challengers = Challengers(store, config, metrics, surroundings, self._host, self._is_configured)
        self._changing = asyncio.Lock()
        self._retirements = Retirements()
        self._poller: asyncio.Task[None] | None = None
        self.draining = False
        metrics.states = lambda: [(one.name, one.state, one.reason) for one in self._configured_states()]

    def get(self, name: str, version: str | None = None) -> Served:
        """Raises NotFound for what is not configured, NotReady for what is loading or failed to load."""
        model = self._by_name.get(name) if version is None else self._by_version.get((name, version))
        if model is None and version is not None:
            model = self.challengers.get(name, version)
        if model is not None:
            return model
        slots = self._slots_of(name)
        if not slots:
            known = ", ".join(sorted({one.name for one in self.index()})) or "none"
            raise NotFound(f"there is no model {name!r} here; served are: {known}")
        served = sorted(v for n, v in self._by_version if n == name)
        if version is not None and served and all(slot.ref.version != version for slot in slots):
            raise NotFound(f"version {version!r} of {name!r} is not served; served is {', '.join(served)}")
        state = slots[0].describe(self._config.hang_timeout_s).without_places()
        raise NotReady(f"model {name!r} is not ready ({state.state}): {state.reason or 'it is being loaded'}")

    def _slots_of(self, name: str) -> list[ModelSlot]:
        """Raises NotReady before the first look at the store."""
        if not self._slots and self._poller is None:
            raise NotReady("this server has just been started, and has not looked yet at what it is to serve")
        return [slot for slot in self._slots.values() if slot.ref.name == name]

    def index(self) -> list[ModelState]:
        """Everything configured, one line for each reference and each upstream, then the challengers."""
        return [*self._configured_states(), *self.challengers.index()]

    def _configured_states(self) -> list[ModelState]:
        slots = [slot.describe(self._config.hang_timeout_s) for slot in self._slots.values()]
        return [*slots, *self._upstreams.index()]

    def ready(self) -> bool:
        """Is there anything that can answer, and is this server to stay?"""
        return not self.draining and any(one.state == State.READY for one in self._configured_states())

    async def start(self) -> None:
        """Load everything configured, then follow the store. A model that fails leaves the others serving."""
        await self._upstreams.start()
        self._route()
        for ref in await self._configured():
            self._slots.setdefault(str(ref), ModelSlot(ref))
        for slot in list(self._slots.values()):
            await self._refresh(slot)
        self._poller = asyncio.create_task(self._follow())
        self.challengers.start()

    async def stop(self) -> None:
        """Free everything. Whoever waits for an answer must have got it."""
        self.draining = True
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        await self.challengers.stop()
        async with self._changing:
            for slot in self._slots.values():
                self._retire(slot, grace_s=0.0)
            await self._retirements.all_done()
        await self._upstreams.stop(grace_s=0.0)
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def load(self, name: str, version: str | None = None) -> None:
        """Bring in a model, look for a newer version of it now, or take one that hangs out and in again.

        Raises what kept it from being served."""
        self._check_is_ours(name)
        ref = ModelRef.parse(name if version is None else f"{name}/{version}")
        slots = [slot for slot in self._slots.values() if slot.ref.name == name and version in (None, slot.ref.version)]
        for slot in slots or [self._slots.setdefault(str(ref), ModelSlot(ref))]:
            slot.follows, slot.failed = True, None
            async with self._changing:
                if slot.hangs(self._config.hang_timeout_s):
                    self._retire(slot)
            error = await self._refresh(slot)
            if error is not None:
                if not slots and error.kind in DEFINITE:
                    del self._slots[str(ref)]
                raise error

    async def unload(self, name: str) -> None:
        """Let the model finish and free it; it stays unloaded until it is loaded again. Raises NotFound."""
        self._check_is_ours(name)
        slots = self._slots_of(name)
        if not slots:
            raise NotFound(f"there is no model {name!r} here")
        async with self._changing:
            for slot in slots:
                slot.follows = False
                self._retire(slot)
                slot.state, slot.reason = State.UNAVAILABLE, "unloaded"

    def _check_is_ours(self, name: str) -> None:
        if name in self._upstreams.by_name:
            raise Unsupported(f"model {name!r} runs on another server; load and unload it there")

    async def _configured(self) -> list[ModelRef]:
        """What the configuration names, or every model with a champion; the last good ones if the store is away."""
        if self._config.models:
            return [ModelRef.parse(text) for text in self._config.models]
        return await self._view.champions()

    async def _follow(self) -> None:
        """Look for new versions, for ever. Whatever goes wrong is that model's affair and no reason to stop."""
        while True:
            await asyncio.sleep(self._config.poll_interval_s)
            try:
                for ref in await self._configured():
                    self._slots.setdefault(str(ref), ModelSlot(ref))
                for slot in [slot for slot in self._slots.values() if slot.follows]:
                    await self._refresh(slot)
            except Exception:
                log.exception("looking for new versions failed")

    async def _refresh(self, slot: ModelSlot) -> TidegateError | None:
        """Make the slot serve what its reference points at now. On failure what was served stays; says what failed."""
        async with self._changing:
            try:
                info = await self._view.resolve(slot.ref, slot.info)
                if slot.model is not None and slot.info is not None and slot.info.is_same_package(info):
                    slot.reason = ""
                elif slot.failed is None or not slot.failed.is_same_package(info):
                    await self._bring_in(slot, info)
            except TidegateError as error:
                return self._note_failure(slot, error)
            except Exception as error:
                log.exception("loading %s failed", slot.ref)
                return self._note_failure(slot, NotReady(f"{type(error).__name__}: {error}"))
            return None

    async def _bring_in(self, slot: ModelSlot, info: VersionInfo) -> None:
        """Load beside the old version, or instead of it, and change over in one step."""
        package = await self._on_loader(partial(self._store.fetch, info, self._cache))
        replaced = None
        if slot.model is None:
            slot.state, slot.reason = State.LOADING, ""
        elif self._config.swap == "replace" and slot.info is not None and slot.model.package is not None:
            replaced = slot.model.package, slot.info
            self._retire(slot)
            slot.state, slot.reason = State.LOADING, f"version {info.version} is taking the place of the one before"
            await self._retirements.all_done()
        try:
            await self._put_in_service(slot, info, package)
        except TidegateError as error:
            if replaced is not None:
                await self._put_in_service(slot, replaced[1], replaced[0])
            if replaced is not None or error.kind == ErrorKind.INVALID_PACKAGE:
                slot.failed = info
            raise

    async def _put_in_service(self, slot: ModelSlot, info: VersionInfo, package: ModelPackage) -> None:
        model = self.challengers.hand_over(slot.ref, info)
        if model is None:
            loaded = await self._on_loader(partial(load, package, self._config, self._host))
            model = put_together(info, loaded, self._metrics, self._surroundings)
        self._retire(slot)
        slot.model, slot.info, slot.failed = model, info, None
        slot.state, slot.reason = State.READY, ""
        self._metrics.serve(model)
        self._route()
        log.info("%s is served: variant %s, digest %s", info, model.variant, info.digest[:12])
        served = {one.package.digest for one in self._by_version.values() if one.package is not None}
        in_use = served | self._retirements.digests() | self.challengers.digests()
        budget_bytes, remembered = self._config.cache_budget_bytes, self._last_good
        await self._on_loader(partial(keep_up, self._cache, budget_bytes, in_use, remembered, slot.ref, info))

    def _note_failure(self, slot: ModelSlot, error: TidegateError) -> TidegateError:
        if slot.note_failure(error):
            self._metrics.load_failed(slot.ref.name)
            log.error("%s: %s; served is %s", slot.ref, slot.reason, slot.info if slot.model else "nothing")
        return error

    def _retire(self, slot: ModelSlot, grace_s: float | None = None) -> None:
        """Route nobody to the slot's model any more and let it finish in the background."""
        if slot.model is None:
            return
        model, slot.model = slot.model, None
        self._route()
        if (model.name, model.version) not in self._by_version:
            self._metrics.retire(model.name, model.version)
        self._retirements.begin(model, self._config.drain_timeout_s if grace_s is None else grace_s)

    def _route(self) -> None:
        """What `get` looks up: for a plain name the upstream, or the first of its references that has a model."""
        models = [slot.model for slot in self._slots.values() if slot.model is not None]
        models = [*self._upstreams.by_name.values(), *models]
        self._by_version = {(model.name, model.version): model for model in models}
        self._by_name = {model.name: model for model in reversed(models)}
        self.challengers.accompany(self._slots.values(), self._by_name)

    def _is_configured(self, name: str, version: str) -> bool:
        return (name, version) in self._by_version

    async def _on_loader(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)
