"""The models of this server that other servers run: opened from the configuration, looked at again and again."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from monitoring.monitor import Monitor
from monitoring.profile import Profile, decode_profile
from serving.aftermath import Aftermath
from serving.capture.item import ModelFacts
from serving.config import ServerConfig
from serving.drift_feed import DriftFeed
from serving.feedback.judge_text import TextJudge
from serving.metrics import Metrics
from serving.model_loader import monitor_config
from serving.model_slot import ModelState, State
from serving.upstream.declaration import Upstream
from serving.upstream.model import VERSION, UpstreamModel

KIND = "text_generation"
"""Of task, whatever the other server makes of it."""
NO_REFERENCE = Profile(num_images=0, signals={})
log = logging.getLogger(__name__)


class Upstreams:
    """Lives on one event loop."""

    def __init__(self, config: ServerConfig, metrics: Metrics, drift_feed: DriftFeed, aftermath: Aftermath) -> None:
        """Raises InvalidRecipe where a key or profile is not where the configuration says."""
        self._config, self._metrics = config, metrics
        self._drift_feed, self._aftermath = drift_feed, aftermath
        self._prober: asyncio.Task[None] | None = None
        self.by_name = {name: self._open(name, declared) for name, declared in config.upstreams.items()}

    async def start(self) -> None:
        """Look once at each, then as often as at the store."""
        for model in self.by_name.values():
            self._metrics.serve(model)
        await self._probe()
        if self.by_name:
            self._prober = asyncio.create_task(self._follow())

    async def stop(self, grace_s: float) -> None:
        """Wait for those who are being answered, then hang up everywhere."""
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.gather(self._prober, return_exceptions=True)
        await asyncio.gather(*(model.retire(grace_s) for model in self.by_name.values()))

    def index(self) -> list[ModelState]:
        """A line for each: ready as long as the other server answers."""
        return [
            ModelState(name, VERSION, State.UNAVAILABLE if model.ailment else State.READY, model.ailment)
            for name, model in self.by_name.items()
        ]

    def _open(self, name: str, declared: Upstream) -> UpstreamModel:
        declared.check(name, os.environ)
        profile = decode_profile(Path(declared.profile).read_bytes()) if declared.profile else NO_REFERENCE
        statistics = self._metrics.for_model(name, VERSION, (1,))
        generation = self._metrics.for_generation(name, VERSION, 0)
        monitor = Monitor(profile, monitor_config(self._config))
        model = UpstreamModel(name, declared, statistics, generation, monitor, self._drift_feed)
        model.witness = self._aftermath.witness(ModelFacts(name, VERSION, VERSION, KIND), TextJudge())
        return model

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._config.poll_interval_s)
            try:
                await self._probe()
            except Exception:
                log.exception("looking at the upstream servers failed")

    async def _probe(self) -> None:
        for model in self.by_name.values():
            known = model.ailment
            await model.probe()
            if model.ailment != known:
                log.log(
                    logging.WARNING if model.ailment else logging.INFO,
                    "upstream model %s: %s",
                    model.name,
                    model.ailment or "ready",
                )
