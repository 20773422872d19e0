from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from serving.generation.fake_decoder import random_logits
from tests.serving.generation.bench import END, LETTERS, Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def greedy(prompt: tuple[int, ...], max_tokens: int) -> str:
    """What a decoder with nothing else to do would say."""
    held, text = prompt, ""
    for _ in range(max_tokens):
        token = int(random_logits(held).argmax())
        if token == END:
            break
        held, text = (*held, token), text + LETTERS[token]
    return text


async def test_each_of_many_requests_gets_the_text_it_would_get_alone(bench: Bench) -> None:
    prompts = [tuple(np.random.default_rng(i).integers(1, 16, 1 + i % 7).tolist()) for i in range(30)]
    texts = await asyncio.gather(*(bench.text(prompt, temperature=0, max_tokens=12) for prompt in prompts))
    assert texts == [greedy(prompt, 12) for prompt in prompts]
