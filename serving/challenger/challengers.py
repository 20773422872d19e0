"""Follows NAME@challenger for every NAME@champion that is served, and says which requests are the challenger's.

It has a task and a thread of its own: a challenger that takes for ever to load, or can not be loaded, keeps no champion
from being served or replaced. Where there is none that answers, the champion does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from registry.reference import CHALLENGER, CHAMPION, ModelRef, VersionInfo
from registry.store import PackageStore
from serving.challenger.canary import PATIENCE_S, Canary
from serving.challenger.challenger_loader import ChallengerLoader
from serving.challenger.configured import left_alone
from serving.challenger.replay import LocalModel
from serving.challenger.shadow import Shadow, ShadowLimits
from serving.challenger.share import CANARY, falls_within
from serving.config import ServerConfig
from serving.metrics import Metrics
from serving.model_kinds import default_timeout_s
from serving.model_slot import ModelSlot, ModelState, State
from serving.served import Served
from serving.surroundings import Surroundings
from serving.variants import HostFacts
from tasks.errors import NotReady, TidegateError

SHADOW_TIMEOUT_S = 600.0
"""For a copy, where the deployment sets requests no limit."""
log = logging.getLogger(__name__)
IsServed = Callable[[str, str], bool]
"""Model and version → whether it is one of those that are configured."""


class Challengers:
    """Lives on one event loop. Does nothing, and asks the store nothing, where both shares are 0."""

    def __init__(
        self,
        store: PackageStore,
        config: ServerConfig,
        metrics: Metrics,
        surroundings: Surroundings,
        host: HostFacts,
        is_served: IsServed,
    ) -> None:
        self._config, self._metrics, self._surroundings, self._is_served = config, metrics, surroundings, is_served
        self._make_loader = partial(ChallengerLoader, store, config, metrics, surroundings, host)
        self._statistics = metrics.challengers
        self._statistics.states = self._states
        self._champions: Mapping[str, ModelSlot] = {}
        self._slots: dict[str, ModelSlot] = {}
        """By model. `info`: what the registry calls challenger, whether or not it could be loaded."""
        self._shadows: dict[str, Shadow] = {}
        self._changed = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to follow. What is served by now is not kept waiting."""
        if self._config.challenger_share or self._config.shadow_share:
            for model in left_alone(self._config):
                log.info("%s follows no champion in the store, and has no challenger", model)
            self._follower = asyncio.create_task(self._follow(self._make_loader()))

    async def stop(self) -> None:
        """Free everything. Whoever waits for an answer must have got it."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        for name in list(self._slots):
            self._remove(name, grace_s=0.0)
        await asyncio.gather(*self._retiring)

    def accompany(self, slots: Iterable[ModelSlot], by_name: Mapping[str, Served]) -> None:
        """What is served now, and by whom a plain name is answered: whoever is so by being champion is accompanied."""
        following = [slot for slot in slots if slot.ref.alias == CHAMPION and slot.model is not None]
        champions = {slot.ref.name: slot for slot in following if slot.model is by_name.get(slot.ref.name)}
        self._champions = champions
        for name in {*champions, *self._slots}:
            self._pair(name)
        self._changed.set()

    def canary(self, champion: Served, version: str | None, request_id: bytes) -> Canary | None:
        """Who answers a request instead of the champion; None: it does. A request that names a version gets that."""
        share, slot = self._config.challenger_share, self._slots.get(champion.name)
        if version is not None or slot is None or slot.info is None or not falls_within(share, request_id, CANARY):
            return None
        statistics = self._statistics.canary(champion.name, slot.info.version)
        challenger = self._answering(slot)
        if challenger is None or not answer_alike(champion, challenger):
            statistics.count("unavailable")
            return None
        return Canary(challenger, lambda: self._champion_of(champion.name) or champion, statistics)

    def get(self, name: str, version: str) -> Served | None:
        """The challenger, if it has this version and is loaded."""
        slot = self._slots.get(name)
        return slot.model if slot is not None and slot.model is not None and slot.model.version == version else None

    def hand_over(self, ref: ModelRef, info: VersionInfo) -> Served | None:
        """The challenger becomes what this reference is served by, if it is the same package and works: then nothing
        need be loaded. None otherwise."""
        slot = self._slots.get(ref.name)
        if slot is None or ref.alias == CHALLENGER or slot.info is None or not slot.info.is_same_package(info):
            return None
        if (model := self._answering(slot)) is not None:
            slot.model = None
            self._remove(ref.name)
        return model

    def index(self) -> list[ModelState]:
        """A line for each challenger that there is."""
        return [slot.describe(self._config.hang_timeout_s) for slot in self._slots.values()]

    def digests(self) -> set[str]:
        """Of packages that are in use here."""
        return {slot.info.digest for slot in self._slots.values() if slot.info is not None}

    def _states(self) -> Collection[tuple[str, str, bool]]:
        """For a scrape, on its own thread."""
        slots = list(self._slots.items())
        return [(name, slot.info.version, self._answering(slot) is not None) for name, slot in slots if slot.info]

    def _answering(self, slot: ModelSlot) -> LocalModel | None:
        """The slot's model, unless it hangs or its runtime is away."""
        model = slot.model
        if not isinstance(model, LocalModel) or model.ailment or model.stalled_s() > PATIENCE_S:
            return None
        return model

    def _champion_of(self, name: str) -> LocalModel | None:
        slot = self._champions.get(name)
        return slot.model if slot is not None and isinstance(slot.model, LocalModel) else None

    async def _follow(self, loader: ChallengerLoader) -> None:
        """Look for challengers, for ever: as often as for new champions, and whenever those have changed."""
        try:
            while True:
                self._changed.clear()
                for name in {*self._champions, *self._slots}:
                    await self._look(loader, name)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._config.poll_interval_s):
                        await self._changed.wait()
        finally:
            loader.close()

    async def _look(self, loader: ChallengerLoader, name: str) -> None:
        """Whatever goes wrong is that challenger's affair. What is loaded stays as long as the store is away."""
        try:
            info = await loader.resolve(name)
        except Exception as error:
            if self._metrics.registry_up:  # else it is known, and was said when it began
                log.warning("whether %s has a challenger can not be asked: %s", name, error)
            return
        if info is None or not self._is_wanted(info):
            self._remove(name)
            return
        slot = self._slots.get(name)
        if slot is None or slot.info is None or not slot.info.is_same_package(info):
            self._remove(name)
            slot = self._slots[name] = ModelSlot(ModelRef(name=name, alias=CHALLENGER), info=info)
        if slot.model is None and slot.failed is None:
            await self._bring_in(loader, slot, info)

    def _is_wanted(self, info: VersionInfo) -> bool:
        """Whether there is a champion beside which to serve it, and that is another version."""
        champion = self._champions.get(info.name)
        return champion is not None and champion.info is not None and not champion.info.is_same_package(info)

    async def _bring_in(self, loader: ChallengerLoader, slot: ModelSlot, info: VersionInfo) -> None:
        """One that fails is not tried again before the alias moves; one that can not be fetched is, at every look."""
        name, package = info.name, None
        try:
            package = await loader.fetch(info)
            model = await loader.load(info, package, self._champion_of(name))
        except Exception as error:
            if package is not None or not isinstance(error, NotReady):
                slot.failed = info
            self._note_failure(slot, error)
            return
        if not self._is_wanted(info):  # any more: it has become the champion while it was loaded
            self._retire(model, grace_s=0.0)
            return
        slot.model, slot.state, slot.reason = model, State.READY, ""
        self._metrics.serve(model)
        self._pair(name)
        log.info("%s is served beside the champion: variant %s, digest %s", info, model.variant, info.digest[:12])

    def _note_failure(self, slot: ModelSlot, error: Exception) -> None:
        """Counted and told once, however often the same is found."""
        reason = str(error) if isinstance(error, TidegateError) else f"{type(error).__name__}: {error}"
        if reason != slot.reason:
            slot.state, slot.reason = State.UNAVAILABLE, reason
            self._statistics.load_failed(slot.ref.name)
            log.error("challenger %s: %s; the champion answers alone", slot.info, reason)

    def _remove(self, name: str, grace_s: float | None = None) -> None:
        """There is no challenger of this name any more. Whom it was answering gets the rest."""
        slot = self._slots.pop(name, None)
        self._pair(name)
        if slot is None or (model := slot.model) is None:
            return
        if not self._is_served(model.name, model.version):
            self._metrics.retire(model.name, model.version)
        self._retire(model, self._config.drain_timeout_s if grace_s is None else grace_s)
        log.info("%s/%s is no challenger any more", model.name, model.version)

    def _retire(self, model: Served, grace_s: float) -> None:
        task = asyncio.create_task(model.retire(grace_s))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _pair(self, name: str) -> None:
        """Copies go from whoever is champion now to whoever is challenger now, and nowhere else."""
        slot, champion = self._slots.get(name), self._champion_of(name)
        challenger = slot.model if slot is not None and isinstance(slot.model, LocalModel) else None
        shadow = self._shadows.get(name)
        if shadow is not None and (shadow.champion, shadow.challenger) == (champion, challenger):
            return
        if shadow is not None:
            self._shadows.pop(name).close()
        if not self._config.shadow_share or champion is None or challenger is None:
            return
        if not answer_alike(champion, challenger):
            return
        timeout_s = default_timeout_s(challenger, self._config) or SHADOW_TIMEOUT_S
        statistics = self._statistics.pair(name, champion.version, challenger.version)
        limits = ShadowLimits(self._config.shadow_share, timeout_s)
        self._shadows[name] = Shadow(champion, challenger, statistics, limits, self._surroundings.decode_pool)


def answer_alike(champion: Served, challenger: LocalModel) -> bool:
    """Whether they are made for the same task: a champion of another one may have come since."""
    return isinstance(champion, LocalModel) and type(champion.task) is type(challenger.task)
