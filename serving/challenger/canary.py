"""One request that the challenger answers, or, should it fail or hang, the champion after all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from serving.challenger.statistics import CanaryStatistics
from serving.served import Served
from tasks.errors import DeadlineExceeded, ErrorKind, NotReady, TidegateError

CALLERS_FAULTS = frozenset({ErrorKind.BAD_INPUT, ErrorKind.TOO_LARGE, ErrorKind.NOT_FOUND, ErrorKind.UNSUPPORTED})
"""They say nothing about the challenger where the champion refuses the request likewise."""
PATIENCE_S = 5.0
"""A challenger that is at one batch, or one token, for longer than this is not waited for."""
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Canary:
    """`model`: who answers; after `ask` has failed or returned, who did. `champion`: whoever is that when asked."""

    def __init__(self, challenger: Served, champion: Callable[[], Served], statistics: CanaryStatistics) -> None:
        self.model = challenger
        self._champion, self._statistics = champion, statistics

    async def ask(self, ask: Callable[[Served], Coroutine[Any, Any, Result]]) -> Result:
        """The challenger's answer. Whatever keeps it from answering sends the request to the champion, but for the end
        of the caller's time: the champion would have none left. Raises what the champion raises, DeadlineExceeded."""
        challenger = self.model
        try:
            with challenger.lease():
                answer = await patiently(challenger, ask(challenger))
        except DeadlineExceeded:
            self._statistics.count("expired")
            raise
        except Exception as error:
            kind = error.kind if isinstance(error, TidegateError) else None
            failure = f"{type(error).__name__}: {error}"
        else:
            self._statistics.count("answered")
            return answer
        self.model = self._champion()
        is_callers_fault = False
        try:
            return await ask(self.model)
        except TidegateError as error:
            is_callers_fault = kind in CALLERS_FAULTS and error.kind == kind
            raise
        finally:
            if not is_callers_fault:
                self._note_failure(challenger, failure)

    def _note_failure(self, challenger: Served, failure: str) -> None:
        """Counted every time and said when it is new: under load the same would be said a thousand times."""
        self._statistics.count("failed")
        if failure != self._statistics.last_failure:
            self._statistics.last_failure = failure
            name, version = challenger.name, challenger.version
            log.warning("challenger %s/%s could not answer, the champion does: %s", name, version, failure)


async def patiently(model: Served, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of work by a model that does not hang. Raises NotReady if it does."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done() and model.stalled_s() > PATIENCE_S:
                raise NotReady(f"it has been at one piece of work for more than {PATIENCE_S:g} s")
        return task.result()
    finally:
        # Its exception holds this frame: with the task it would be a cycle, and what it worked on would outlive it.
        task.cancel()
        del task
