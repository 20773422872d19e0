"""Files of a running server that others renew: mounted secrets, certificates.

They are polled: the kernel's notifications are lost on network file systems, and Kubernetes swaps a symbolic link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

INTERVAL_S = 1.0
log = logging.getLogger(__name__)


class FileWatch:
    """Calls `changed` on a thread when any of `paths` is another file, or the same with another content or mode.

    What was there when the watch was made counts as known: make it first, then read.
    """

    def __init__(self, paths: Sequence[Path], changed: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        self._paths, self._changed, self._interval_s = paths, changed, interval_s
        self._known = self._signature()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """On the event loop."""
        self._running = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await asyncio.to_thread(self._look_once)
            except Exception:
                log.exception("%s can not be watched", ", ".join(map(str, self._paths)))

    def _look_once(self) -> None:
        signature = self._signature()
        if signature != self._known:
            self._known = signature
            self._changed()

    def _signature(self) -> list[tuple[int, int, int] | None]:
        return [signature_of(path) for path in self._paths]


def signature_of(path: Path) -> tuple[int, int, int] | None:
    """What differs after any change; None for a file that is not there. Change time: a file may become readable."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_ctime_ns
