"""What the champion has answered, asked of the challenger too: compared and counted, and told to nobody.

The champion's callers come first: their answer has left before its copy is even queued, the queue is bounded and drops,
nothing of it is put to the challenger while somebody waits for the champion, and only a few copies at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from serving.challenger.copies import Copy
from serving.challenger.replay import Incomparable, LocalModel, Replay
from serving.challenger.share import SHADOW, falls_within
from serving.challenger.statistics import PairStatistics
from serving.deadline import Deadline
from serving.logs import CURRENT_REQUEST, UNTOLD_REQUEST
from serving.workers import DecodePool

MAX_QUEUED = 64
MAX_QUEUED_BYTES = 64 * 2**20
"""Of all copies that wait: pictures and tensors may be large."""
MAX_IN_FLIGHT = 4
"""Copies that the challenger works on at once: enough for a batch, too few to keep the machine from others."""
LOOK_AGAIN_S = 0.01
"""How long to wait until the champion is looked at again whose queue was not empty."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """`share` of what the champion answers, 0 to 1. `timeout_s`: how long the challenger may take for one copy."""

    share: float
    timeout_s: float


class Shadow:
    """Of one version behind another. Lives on one event loop."""

    def __init__(
        self,
        champion: LocalModel,
        challenger: LocalModel,
        statistics: PairStatistics,
        limits: ShadowLimits,
        pool: DecodePool,
    ) -> None:
        self.champion, self.challenger = champion, challenger
        self._statistics, self._limits = statistics, limits
        self._replay = Replay(champion, challenger, pool)
        self._queue: deque[Copy] = deque()
        self._num_queued_bytes = 0
        self._num_offered = 0
        self._last_failure = ""
        self._is_closed = False
        self._filled = asyncio.Event()
        self._workers = [asyncio.create_task(self._work()) for _ in range(MAX_IN_FLIGHT)]
        champion.tap = self.offer

    def offer(self, copy: Copy) -> None:
        """Take one of what was answered, if it falls to the share and there is room. Never waits."""
        self._num_offered += 1
        if not falls_within(self._limits.share, b"%d" % self._num_offered, SHADOW):
            return
        num_bytes = copy.num_bytes
        is_full = len(self._queue) >= MAX_QUEUED or self._num_queued_bytes + num_bytes > MAX_QUEUED_BYTES
        if is_full or self._is_closed:
            self._statistics.count("dropped", copy.num_items)
            return
        self._queue.append(copy)
        self._num_queued_bytes += num_bytes
        self._filled.set()

    def close(self) -> None:
        """Forget what is queued and give up what is asked."""
        self._is_closed = True
        if self.champion.tap == self.offer:
            self.champion.tap = None
        for worker in self._workers:
            worker.cancel()
        self._drop_queued()

    def _drop_queued(self) -> None:
        while self._queue:
            self._statistics.count("dropped", self._queue.popleft().num_items)

    async def _work(self) -> None:
        """For ever: one copy after the other. They are nobody's request, whatever was going on when this was begun."""
        CURRENT_REQUEST.set("")
        UNTOLD_REQUEST.set("")
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            if self.champion.num_waiting:
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            copy = self._queue.popleft()
            self._num_queued_bytes -= copy.num_bytes
            outcome = "dropped"  # unless it comes to an end
            try:
                outcome = await self._compare(copy)
            finally:
                self._statistics.count(outcome, copy.num_items)
                del copy

    async def _compare(self, copy: Copy) -> str:
        """What became of it."""
        try:
            replayed = await self._replay.ask(copy, Deadline.after(self._limits.timeout_s))
        except Incomparable:
            return "incomparable"
        except Exception as error:
            self._note_failure(f"{type(error).__name__}: {error}")
            return "failed"
        for agreement in replayed.agreements:
            self._statistics.agreement.observe(agreement)
        if replayed.seconds is not None:
            self._statistics.champion_seconds.observe(copy.seconds)
            self._statistics.challenger_seconds.observe(replayed.seconds)
        return "compared"

    def _note_failure(self, failure: str) -> None:
        """Said when it is new: under load the same would be said a thousand times."""
        if failure != self._last_failure:
            self._last_failure = failure
            model = self.challenger
            log.warning("challenger %s/%s could not answer a copy: %s", model.name, model.version, failure)
