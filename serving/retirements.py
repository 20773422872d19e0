"""Models that nobody is routed to any more, and that finish what they have."""

from __future__ import annotations

import asyncio

from serving.served import Served


class Retirements:
    """Of one host. Each goes on in the background until the model is freed."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], Served] = {}

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, model: Served, grace_s: float) -> None:
        """`grace_s`: for what it has accepted."""
        task = asyncio.create_task(model.retire(grace_s))
        self._running[task] = model
        task.add_done_callback(self._running.pop)

    async def all_done(self) -> None:
        """Of those that have begun."""
        await asyncio.gather(*self._running)

    def digests(self) -> set[str]:
        """Of packages whose files are still in use."""
        return {model.package.digest for model in self._running.values() if model.package is not None}
