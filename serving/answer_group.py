"""The answers to one request, be it one prompt or several: as they come, or all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from serving.generation.request import Delta, Usage
from tasks.generation import Generated, TokenScore

MAX_AHEAD = 64
"""Pieces of several answerings that wait for a client that reads slowly; the rest waits where it is made."""


class Answering(Protocol):
    """One prompt that is being answered: by a generator here, or by another server."""

    @property
    def answers(self) -> Sequence[Generated]:
        """After the end: best first for beams, by choice otherwise."""
        ...

    @property
    def usage(self) -> Usage:
        """After the end."""
        ...

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    def cancel(self) -> None:
        """Frees what it occupies. Without effect after the end."""
        ...


class AnswerGroup:
    """Iterated over once. The choices of prompt i are those from i · num_choices on.

    Unlike a single answering's, its deltas add up to the whole answer also where that came in one piece.
    """

    def __init__(self, answerings: Sequence[Answering], num_choices: int) -> None:
        self._answerings, self._num_choices = answerings, num_choices
        self._progress: dict[int, tuple[int, int]] = {}
        """Choice → characters and tokens that have been handed out."""
        self._gathering: list[asyncio.Task[None]] = []
        self._deltas = self._numbered()
        self._first: Delta | None = None

    async def begin(self) -> None:
        """Until there is something to answer. Raises what keeps the model from answering at all."""
        try:
            self._first = await anext(self._deltas)
        except BaseException:
            self.cancel()
            raise

    async def __aiter__(self) -> AsyncIterator[Delta]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        async for delta in self._deltas:
            yield delta

    async def wait(self) -> list[list[Generated]]:
        """All answers, by prompt. Whoever is cancelled while waiting cancels them too."""
        try:
            async for _ in self._deltas:
                pass
        except BaseException:
            self.cancel()
            raise
        return self.answers

    @property
    def answers(self) -> list[list[Generated]]:
        """By prompt, after the end."""
        return [list(answering.answers) for answering in self._answerings]

    def cancel(self) -> None:
        for answering in self._answerings:
            answering.cancel()
        for task in self._gathering:
            task.cancel()

    @property
    def usage(self) -> Usage:
        """Of all together, after the end."""
        used = [answering.usage for answering in self._answerings]
        return Usage(*(sum(column) for column in zip(*used, strict=True)))

    async def _numbered(self) -> AsyncIterator[Delta]:
        if len(self._answerings) == 1:
            async for delta in self._answerings[0]:
                yield self._completed(delta)
            return
        # No task group: a generator that is left in the middle would be closed by another task than entered it.
        ahead: asyncio.Queue[Delta | BaseException | None] = asyncio.Queue(MAX_AHEAD)
        for index, answering in enumerate(self._answerings):
            self._gathering.append(asyncio.create_task(gather(answering, index * self._num_choices, ahead)))
        num_running = len(self._answerings)
        while num_running:
            item = await ahead.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                num_running -= 1
            else:
                yield self._completed(item)

    def _completed(self, delta: Delta) -> Delta:
        """The last delta of a choice brings whatever of it was not handed out before."""
        num_characters, num_tokens = self._progress.get(delta.choice, (0, 0))
        if (whole := delta.finished) is None:
            self._progress[delta.choice] = num_characters + len(delta.text), num_tokens + len(delta.tokens)
            return delta
        scores = tuple(map(TokenScore, whole.tokens[num_tokens:], whole.logprobs[num_tokens:]))
        return delta._replace(
            text=whole.text[num_characters:], tokens=scores, top_logprobs=whole.top_logprobs[num_tokens:]
        )


async def gather(answering: Answering, first_choice: int, ahead: asyncio.Queue[Delta | BaseException | None]) -> None:
    """All deltas of one of several answerings; then None, or what went wrong."""
    try:
        async for delta in answering:
            await ahead.put(delta._replace(choice=first_choice + delta.choice))
    except Exception as error:
        await ahead.put(error)
    else:
        await ahead.put(None)
