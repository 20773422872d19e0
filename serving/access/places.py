"""A small number of calls at once, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.errors import Overloaded


class Places:
    """`what` takes them, as whoever finds none is told. Used on the event loop."""

    def __init__(self, number: int, what: str) -> None:
        self.number = self._num_free = number
        self._what = what

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for what is done inside. Raises Overloaded where there is none."""
        self._take()
        try:
            yield
        finally:
            self._give_back()

    def keep_for(self, context: Any) -> None:
        """A place until the gRPC call of this context is over, its last byte sent included. Raises Overloaded."""
        self._take()
        context.add_done_callback(self._give_back)

    def _take(self) -> None:
        if not self._num_free:
            raise Overloaded(f"there may be {self.number} {self._what} at once: bring a key, or try again later")
        self._num_free -= 1

    def _give_back(self, context: Any = None) -> None:
        self._num_free += 1
