"""When a caller's time is up: one moment, fixed on arrival, that every stage of a request looks at."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tasks.errors import DeadlineExceeded


class Deadline(NamedTuple):
    """`expires_at`: seconds of `time.monotonic`, the clock that event loops use too; infinity = never."""

    expires_at: float = math.inf

    @classmethod
    def after(cls, timeout_s: float | None) -> Deadline:
        """This many seconds from now; None = no deadline."""
        return cls(math.inf if timeout_s is None else time.monotonic() + timeout_s)

    def remaining_s(self) -> float:
        """Seconds left: infinite without a deadline, negative once it has passed."""
        return self.expires_at - time.monotonic()


class Arrival(NamedTuple):
    """When a request came in (seconds of `time.monotonic`), and how long it may take if it does not say so itself."""

    at: float
    default_timeout_s: float | None

    def within(self, default_timeout_s: float | None) -> Arrival:
        """The same moment with another default."""
        return self._replace(default_timeout_s=default_timeout_s)

    def deadline(self, timeout_s: float | None = None) -> Deadline:
        """Counted from the arrival: a body that took long to send has used up its own time."""
        chosen_s = self.default_timeout_s if timeout_s is None else timeout_s
        return Deadline(math.inf if chosen_s is None else self.at + chosen_s)


@asynccontextmanager
async def within(deadline: Deadline) -> AsyncIterator[None]:
    """Ends what is done inside when the time is up. Raises DeadlineExceeded then."""
    try:
        async with asyncio.timeout_at(None if deadline.expires_at == math.inf else deadline.expires_at):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline passed before the model had answered") from error
