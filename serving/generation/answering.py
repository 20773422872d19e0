"""Answering: the event loop's end of one request, from which its text is read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

from serving.generation.request import Delta, GenerationRequest, Usage
from serving.tracing.trace import CURRENT_TRACE
from tasks.errors import NotReady, TidegateError
from tasks.generation import Generated


class Answering:
    """What comes of one request, as it comes: an async iterator of `Delta`, those of all its choices interleaved.

    Everything is called on the loop; other threads may read `is_over`. A failure, be it the deadline or the runtime, is
    raised from the iteration after the deltas that came before it.
    """

    def __init__(self, request: GenerationRequest, num_answers: int) -> None:
        self.request = request
        self.arrived_at, self.trace = monotonic(), CURRENT_TRACE.get()
        self.is_over = False
        """Whether nothing is to be computed for it any more: answered, failed or cancelled."""
        self.is_cancelled = False
        """Whether it is over because nobody wanted the rest."""
        self.first_token_at = 0.0
        """When its first text or token came; 0: not yet."""
        self.num_missing = num_answers
        """Answers that are not finished."""
        self.num_cached_tokens = 0
        """Of the prompt, those that another request had left in a slot. Written before the first delta."""
        self._answers: list[Generated | None] = [None] * num_answers
        self._deltas: deque[Delta] = deque()
        self._error: TidegateError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._callbacks: list[Callable[[Answering], None]] = []

    @property
    def answers(self) -> list[Generated]:
        """Those that are finished: best first of beams, else by choice."""
        return [answer for answer in self._answers if answer is not None]

    @property
    def usage(self) -> Usage:
        """What the finished answers took."""
        return Usage(
            self.request.prompt.length, self.num_cached_tokens, sum(len(answer.tokens) for answer in self.answers)
        )

    @property
    def is_answered(self) -> bool:
        """Whether all answers are there."""
        return self.num_missing == 0

    def add_done_callback(self, callback: Callable[[Answering], None]) -> None:
        """Call it once, with this, when nothing more will come, whatever the reason; at once if that is so already."""
        if self.is_over:
            callback(self)
        else:
            self._callbacks.append(callback)

    def cancel(self) -> None:
        """Nobody wants the rest: its slots are free at the next step. Without effect after the end."""
        self.is_cancelled = self.is_cancelled or not self.is_over
        self.fail(NotReady("the request was cancelled before it was answered"))

    def receive(self, delta: Delta) -> None:
        """From the generator: what a step added."""
        if self.is_over:
            return
        self._deltas.append(delta)
        if delta.finished is not None:
            self._answers[delta.choice] = delta.finished
            self.num_missing -= 1
        if self.is_answered:
            self._end()
        else:
            self._wake()

    def fail(self, error: TidegateError) -> None:
        """End it with an error, unless it is over."""
        if not self.is_over:
            self._error = error
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self._wake()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Answering:
        return self

    async def __anext__(self) -> Delta:
        """Raises DeadlineExceeded, NotReady, or BadInput where a constraint grew out of bounds. A caller who is
        cancelled here cancels the request."""
        while not self._deltas:
            if self._error is not None:
                raise self._error
            if self.is_over:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.cancel()
                raise
            finally:
                self._waiter = None
        return self._deltas.popleft()

    async def wait(self) -> list[Generated]:
        """All answers, for a caller who does not read along. Raises as the iteration does."""
        async for _ in self:
            pass
        return self.answers
