"""A generator over a fake decoder, and requests for it, for the tests of everything that generates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from serving.deadline import Deadline
from serving.generation.answering import Answering
from serving.generation.decoder import Decoder
from serving.generation.fake_decoder import FakeDecoder, random_logits
from serving.generation.request import Constraint, GenerationRequest
from serving.generation.statistics import GenerationStatistics
from serving.generator import Generator, GeneratorLimits
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams

LETTERS = "abcdefghijklmnop"
END = 0
"""The fake decoder's tokens 0 … 15 are letters; this one ends an answer."""


class Letters:
    """A detokeniser: one letter for each token."""

    def push(self, token: int) -> str:
        return LETTERS[token % len(LETTERS)]

    def flush(self) -> str:
        return ""


def request(
    prompt: Iterable[int] | Prompt = (1, 2, 3),
    deadline: Deadline | None = None,
    constraint: Callable[[], Constraint] | None = None,
    end_tokens: frozenset[int] = frozenset({END}),
    **params: Any,
) -> GenerationRequest:
    prompt = prompt if isinstance(prompt, Prompt) else Prompt(tuple(prompt))
    return GenerationRequest(
        prompt, GenerationParams(**params), end_tokens, Letters, constraint, deadline or Deadline()
    )


class Bench:
    """`decoder`'s gate is for tests to close."""

    def __init__(self, decoder: Decoder | None = None, max_queue: int = 64) -> None:
        self.decoder = decoder or FakeDecoder()
        self.statistics = GenerationStatistics(self.decoder.num_slots)
        self.generator = Generator(self.decoder, GeneratorLimits(max_queue), self.statistics)

    @property
    def fake(self) -> FakeDecoder:
        assert isinstance(self.decoder, FakeDecoder)
        return self.decoder

    def submit(self, *arguments: Any, **options: Any) -> Answering:
        return self.generator.submit(request(*arguments, **options))

    async def text(self, *arguments: Any, **options: Any) -> str:
        return (await self.submit(*arguments, **options).wait())[0].text

    async def occupied(self, *arguments: Any, **options: Any) -> Answering:
        """Close the gate and wait until the decoder is busy with this request."""
        self.fake.gate.clear()
        answering = self.submit(*arguments, **options)
        await self.until(lambda: bool(self.fake.runs))
        return answering

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        if isinstance(self.decoder, FakeDecoder):
            self.decoder.gate.set()
        assert await self.generator.close(10)


def greedy(prompt: tuple[int, ...], max_tokens: int) -> str:
    """What a decoder with nothing else to do would say."""
    held, text = prompt, ""
    for _ in range(max_tokens):
        token = int(random_logits(held).argmax())
        if token == END:
            break
        held, text = (*held, token), text + LETTERS[token]
    return text
