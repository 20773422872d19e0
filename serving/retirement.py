"""How long a version stays that answers no new requests: until those that it has are answered, and a moment more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

RETIREMENT_GRACE_S = 1.0
"""A retired version stays this much longer for whoever looked it up just before."""
CLOSE_TIMEOUT_S = 5.0
"""For what is running when nobody waits for it any more."""
POLL_S = 0.02


async def until_idle(num_in_flight: Callable[[], int], timeout_s: float) -> None:
    """Wait until nobody has used it for the grace, but not longer than `timeout_s`."""
    expires_at = monotonic() + timeout_s
    idle_since = monotonic()
    while monotonic() < min(expires_at, idle_since + RETIREMENT_GRACE_S):
        await asyncio.sleep(POLL_S)
        if num_in_flight():
            idle_since = monotonic()
