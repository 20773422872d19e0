"""How many texts are cut into tokens at once, and for how long their callers wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.deadline import Deadline
from serving.generative_model import GenerativeModel
from serving.prompts import chat_prompt, generative, prompts_of, text_prompt
from tasks.errors import BadInput, DeadlineExceeded, Overloaded, TooLarge
from tasks.text_generation import TextGeneration
from tests.serving.protocol_server import protocol_server
from tests.tiny_language import build_language_package

MAX_WAITING = 64
"""Of the server that the tests run."""
LONG = "Return the number. " * 100


@dataclass
class SlowTokenizer:
    """Begins with a text, and ends when it is let."""

    gate: threading.Event = field(default_factory=threading.Event)
    num_begun: int = 0

    def encode(self, text: str) -> list[int]:
        self.num_begun += 1
        assert self.gate.wait(30)
        return [1, 2, 3]


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_language_package(tmp_path_factory.mktemp("package") / "tiny", context=512).folder


@pytest.fixture
async def model(language: Path, tmp_path: Path) -> AsyncIterator[GenerativeModel]:
    async with protocol_server(language, tmp_path) as server:
        yield generative(server.host.get("tiny"))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowTokenizer]:
    tokenizer = SlowTokenizer()
    monkeypatch.setattr(TextGeneration, "_encoded", lambda _, text: tokenizer.encode(text))
    yield tokenizer
    tokenizer.gate.set()


async def test_no_more_texts_are_cut_at_once_than_may_wait(model: GenerativeModel, slow: SlowTokenizer) -> None:
    params = model.task.parse_params({"n": 16})
    making = [asyncio.create_task(text_prompt(model, LONG, params, Deadline())) for _ in range(1000)]
    await asyncio.sleep(0)
    taken, refused = making[:4], making[4:]
    assert (model.num_waiting, model.num_in_flight) == (MAX_WAITING, 4)
    assert {type(each) for each in await asyncio.gather(*refused, return_exceptions=True)} == {Overloaded}
    slow.gate.set()
    assert len({await each for each in taken}) == 1
    assert slow.num_begun == 4
    assert (model.num_waiting, model.num_in_flight) == (0, 0)


async def test_a_deadline_does_not_wait_for_tokens(model: GenerativeModel, slow: SlowTokenizer) -> None:
    params = model.task.parse_params({})
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await text_prompt(model, LONG, params, Deadline.after(0.02))
    assert model.num_waiting == 0
    assert model.generation.num_expired == 2


async def test_what_can_not_be_answered_is_not_cut_at_all(model: GenerativeModel, slow: SlowTokenizer) -> None:
    with pytest.raises(TooLarge, match="holds 64"):
        await prompts_of(model, ["text"] * 65, model.task.parse_params({}), Deadline())
    assert slow.num_begun == 0
    with pytest.raises(DeadlineExceeded):
        await text_prompt(model, "text", model.task.parse_params({}), Deadline.after(-1))
    assert slow.num_begun == 0


async def test_texts_and_tokens_are_prompts_in_their_order(model: GenerativeModel) -> None:
    params = model.task.parse_params({})
    text, tokens = await prompts_of(model, ["Return", [5, 6]], params, Deadline())
    assert text == model.task.prompt("Return")
    assert tokens.tokens == (5, 6)
    chat = await chat_prompt(model, [{"role": "user", "content": "Return"}], params, Deadline())
    assert chat.length > text.length


async def test_tokens_that_the_model_does_not_have_are_refused_before_they_wait(model: GenerativeModel) -> None:
    params = model.task.parse_params({})
    for token in (-1, 10**6):
        with pytest.raises(BadInput, match=f"token {token}; the model has"):
            await prompts_of(model, [[5, token]], params, Deadline())
    with pytest.raises(BadInput, match="logit_bias names token"):
        model.task.parse_params({"logit_bias": {10**6: 1.0}})
    assert model.num_waiting == 0
