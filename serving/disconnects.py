"""Notices clients that leave while their request waits, and cancels the work, at next to no cost for quick requests.

Servers do not cancel handlers by themselves, and a watching task per request would cost as much as a small inference.
So one timer sweeps over what is in flight: only what it sees twice gets a watcher.
"""

from __future__ import annotations

import asyncio
from typing import Any

from serving.http_body import Receive

SWEEP_INTERVAL_S = 0.05
RequestTask = asyncio.Task[Any]


class DisconnectWatch:
    """Used on one event loop. Between `enter` and `leave` the request's body has been read completely."""

    def __init__(self) -> None:
        self._young: dict[RequestTask, Receive] = {}
        self._seen_once: dict[RequestTask, Receive] = {}
        self._watchers: dict[RequestTask, RequestTask] = {}
        self._departed: set[RequestTask] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, task: RequestTask, receive: Receive) -> None:
        """From now on `task` is cancelled when its client leaves."""
        self._young[task] = receive
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._sweep)

    def leave(self, task: RequestTask) -> None:
        """The answer is there, or there will be none."""
        if self._young.pop(task, None) is None and self._seen_once.pop(task, None) is None:
            self._watchers.pop(task).cancel()
            self._departed.discard(task)

    def has_departed(self, task: RequestTask) -> bool:
        """Was it this watch that cancelled `task`? To be asked before `leave`."""
        return task in self._departed

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for task, receive in self._seen_once.items():
            self._watchers[task] = loop.create_task(self._watch(task, receive))
        self._seen_once, self._young = self._young, {}
        self._timer = loop.call_later(SWEEP_INTERVAL_S, self._sweep) if self._seen_once else None

    async def _watch(self, task: RequestTask, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if task in self._watchers:
            self._departed.add(task)
            task.cancel()
