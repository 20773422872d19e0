"""How long a server takes to end, at the most: its requests first, then what it holds.

All of it follows from one setting, `drain_timeout_s`. Whoever stops a server and kills it after a while (Kubernetes'
terminationGracePeriodSeconds, Compose's stop_grace_period) must give it `stop_limit_s` of that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable

DRAIN_MARGIN_S = 1.0
"""For calls whose time was up to be cut off."""
FREE_LIMIT_S = 6.0
"""For models, of which one may be on its way in."""
WRITE_LIMIT_S = 10.0
"""For what was captured and followed, which a disk or a collector may not take."""
CLOSE_LIMIT_S = 1.0
"""For the metrics, which are asked for until the end."""
SAY_LIMIT_S = 1.0
"""For a last line in the log."""
KILLED = 70
"""Exit code of a server that did not end by itself (sysexits.h: an error within)."""
log = logging.getLogger(__name__)


def stop_limit_s(drain_timeout_s: float) -> float:
    """From the signal to the end of the process."""
    return drain_timeout_s + DRAIN_MARGIN_S + FREE_LIMIT_S + WRITE_LIMIT_S + CLOSE_LIMIT_S


async def wait_for(what: str, work: Awaitable[object], limit_s: float) -> None:
    """Until it is done, or its time is up: then it is said, and left as it is. Raises what it raises."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if done:
        task.result()
    else:
        log.error("stopping: %s took longer than %g s and is left as it is", what, limit_s)


async def wait_for_thread(what: str, work: Callable[[], None], limit_s: float) -> None:
    """The same of work that blocks. On a thread that holds up no one's end: those of a pool are waited for."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name=f"stop-{what}", daemon=True).start()
    await wait_for(what, outcome, limit_s)


def end_within(limit_s: float) -> None:
    """This process is gone by then, `SAY_LIMIT_S` apart: also one whose event loop hangs, or that waits for a thread.

    Only native code that keeps the interpreter's lock can hold it longer, until whoever supervises it kills it."""

    def say() -> None:
        log.critical("stopping took longer than %g s: this process ends now, whatever it is doing", limit_s)
        logging.shutdown()

    def end() -> None:
        try:
            # On a thread that nobody waits for long: stderr may be a pipe that nobody reads.
            saying = threading.Thread(target=say, name="stop-say", daemon=True)
            saying.start()
            saying.join(SAY_LIMIT_S)
        finally:
            os._exit(KILLED)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
