"""What one model answered lately, by request id, until somebody tells what would have been right. Bounded in number
and in time.

An answer takes one entry of a dictionary and its record, see the judges: about half a kilobyte for a classification.
Nothing is locked: all is called on the event loop."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from tasks.errors import BadInput, Conflict, NotFound

Key = tuple[str, int]
"""Request id, and which of its pictures or prompts."""
JUDGED = object()
"""In place of what was said, once feedback on it was counted."""


class Recollection(NamedTuple):
    """One answer. `at`: monotonic seconds."""

    version: str
    at: float
    said: object


class Expired(NotFound):
    """It was remembered, and is not any more."""


class Duplicate(Conflict):
    """Feedback on it was counted before."""


class Memory:
    """Of one model, all its versions. The same id again takes the place of what was remembered under it."""

    def __init__(self, max_answers: int, max_age_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._max_answers, self._max_age_s, self._clock = max_answers, max_age_s, clock
        self._answers: OrderedDict[Key, Recollection] = OrderedDict()
        self._forgotten: OrderedDict[Key, None] = OrderedDict()
        """As many again by their ids alone, to tell who comes too late from who is wrong."""

    def __len__(self) -> int:
        return len(self._answers)

    def remember(self, request_id: str, index: int, version: str, said: object) -> None:
        """And forget what is too old or too many."""
        key, now = (request_id, index), self._clock()
        self._answers[key] = Recollection(version, now, said)
        self._answers.move_to_end(key)
        self._forgotten.pop(key, None)
        self._forget(now)

    def _forget(self, now: float) -> None:
        oldest = now - self._max_age_s
        while self._answers:
            key = next(iter(self._answers))
            if len(self._answers) <= self._max_answers and self._answers[key].at >= oldest:
                return
            del self._answers[key]
            self._forgotten[key] = None
            self._forgotten.move_to_end(key)
            if len(self._forgotten) > self._max_answers:
                self._forgotten.popitem(last=False)

    def take(self, request_id: str, index: int | None) -> Recollection:
        """What was answered, which can not be taken again unless it is put back.

        Raises Expired, Duplicate, NotFound, or BadInput where the request held several pictures or prompts and none is
        named."""
        self._forget(self._clock())
        if index is None and self._knows((request_id, 1)):
            raise BadInput(f"request {request_id!r} held several pictures or prompts; say which by index, from 0 on")
        key = request_id, index or 0
        found = self._answers.get(key)
        if found is None:
            if key in self._forgotten:
                raise Expired(
                    f"request {request_id!r} was answered too long ago: remembered are the latest "
                    f"{self._max_answers:,} answers of a model, for {self._max_age_s / 3600:g} h"
                )
            raise NotFound(f"request {request_id!r} is not known here" + (f" with index {index}" if index else ""))
        if found.said is JUDGED:
            raise Duplicate(f"feedback on request {request_id!r}, index {key[1]}, was counted before")
        self._answers[key] = found._replace(said=JUDGED)
        return found

    def put_back(self, request_id: str, index: int, found: Recollection) -> None:
        """It was not judged after all."""
        if (request_id, index) in self._answers:
            self._answers[request_id, index] = found

    def drop(self, request_id: str, index: int) -> None:
        """As if it had never been remembered."""
        self._answers.pop((request_id, index), None)

    def _knows(self, key: Key) -> bool:
        return key in self._answers or key in self._forgotten
