"""Leased: a version of a model that is not closed while somebody uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.retirement import until_idle


class Leased:
    """Counts who uses it. To be called on one event loop."""

    def __init__(self) -> None:
        self.num_in_flight = 0
        """Requests accepted and not yet answered, streams included."""

    @contextmanager
    def lease(self) -> Iterator[None]:
        """While held, the version is not closed, even if a newer one has taken its place."""
        self.num_in_flight += 1
        try:
            yield
        finally:
            self.num_in_flight -= 1

    async def until_returned(self, timeout_s: float) -> None:
        """Wait until nobody has used it for a moment, but not longer than `timeout_s`."""
        await until_idle(lambda: self.num_in_flight, timeout_s)
