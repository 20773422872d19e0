"""Answers of a fake decoder in the tokens of a real tokenizer, halves of characters among them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from serving.answer_group import AnswerGroup
from serving.generation.fake_decoder import FakeDecoder, random_logits
from serving.generation.request import GenerationRequest
from serving.openai.request import read_request
from serving.openai_routes import Wire
from tasks.detokeniser import StreamDetokeniser
from tasks.generation import Prompt
from tasks.parse_generation import parse_generation
from tasks.text import Tokenizer, train_byte_level_bpe
from tests.serving.generation.bench import Bench

END, VOCABULARY = "<|end|>", 300
TEXTS = ("naïve, but quick — even at 0 °C", "the list of the items")
Asked = TypeVar("Asked")


def tokenizer_in(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    path.write_bytes(train_byte_level_bpe(TEXTS, VOCABULARY, [END]))
    return Tokenizer(path)


def ask(kind: type[Asked], **fields: Any) -> Asked:
    """A request as it is read from its body."""
    return read_request(json.dumps({"model": "tiny"} | fields).encode(), kind)


@asynccontextmanager
async def answered(tokenizer: Tokenizer, params: dict[str, Any], *prompts: str) -> AsyncIterator[AnswerGroup]:
    """Being answered while the context lasts."""
    bench = Bench(FakeDecoder(context=128, logits_of=partial(random_logits, vocabulary=VOCABULARY)))
    asked = parse_generation({"max_tokens": 16} | params, {}, VOCABULARY)
    end = tokenizer.token_id(END)
    assert end is not None

    def started(text: str) -> Any:
        prompt = Prompt(tuple(tokenizer.encode(text)))
        detokeniser = partial(StreamDetokeniser, tokenizer, prompt.tokens)
        return bench.generator.submit(GenerationRequest(prompt, asked, frozenset({end}), detokeniser))

    yield AnswerGroup([started(text) for text in prompts], asked.n)
    await bench.close()


async def in_pieces(wire: Wire, group: AnswerGroup) -> list[Any]:
    """All chunks of a stream."""
    chunks = list(wire.opening())
    async for delta in group:
        chunks += wire.pieces(delta)
    return chunks + list(wire.closing(group.usage))


def of_choice(chunks: Sequence[Any], index: int) -> Iterator[Any]:
    """What the chunks say of one choice, in order."""
    return (choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index)
