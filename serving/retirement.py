"""How a version ends that answers no new requests: once those that it has are answered, and a moment later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

RETIREMENT_GRACE_S = 1.0
"""A retired version stays this much longer for whoever looked it up just before."""
CLOSE_TIMEOUT_S = 5.0
"""For what is running when nobody waits for it any more."""
POLL_S = 0.02
log = logging.getLogger(__name__)


class Queue(Protocol):
    """What stands before a runtime: a batcher or a generator."""

    async def close(self, timeout_s: float) -> bool:
        """False if a run of the runtime has not returned in time."""
        ...


async def until_idle(num_in_flight: Callable[[], int], timeout_s: float) -> None:
    """Wait until nobody has used it for the grace, but not longer than `timeout_s`."""
    expires_at = monotonic() + timeout_s
    idle_since = monotonic()
    while monotonic() < min(expires_at, idle_since + RETIREMENT_GRACE_S):
        await asyncio.sleep(POLL_S)
        if num_in_flight():
            idle_since = monotonic()


async def close_both(queue: Queue, close_runtime: Callable[[], None], what: str) -> None:
    """What stands before a runtime, then the runtime, unless a run hangs: its memory can not be freed then."""
    if await queue.close(CLOSE_TIMEOUT_S):
        await asyncio.to_thread(close_runtime)
    else:
        log.error("%s hangs; its memory stays taken", what)


async def close_remote(queue: Queue, close_runtime: Callable[[], None], what: str) -> None:
    """The same where the runtime is elsewhere: what has not returned holds no memory of this machine's engines, and
    frees what it has when it does."""
    if not await queue.close(CLOSE_TIMEOUT_S):
        log.warning("%s is closed while it still works on something", what)
    await asyncio.to_thread(close_runtime)
