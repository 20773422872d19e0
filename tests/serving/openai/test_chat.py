from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from serving.generation.request import Usage
from serving.openai.chat import ChatWire
from serving.openai.chat_request import ChatRequest
from serving.openai.head import Head
from tasks.text import Tokenizer
from tests.serving.openai.made import answered, ask, in_pieces, of_choice, tokenizer_in


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(tmp_path_factory.mktemp("tokenizer"))


async def answer(tokenizer: Tokenizer, **fields: Any) -> tuple[Any, list[Any], Usage]:
    """The same answer whole, in pieces, and what it took."""
    request = ask(ChatRequest, messages=[{"role": "user", "content": "a"}], **fields)
    head = Head("chatcmpl", "tiny", "print")
    async with answered(tokenizer, request.params(), "the list") as group:
        whole = ChatWire(head, request, tokenizer).whole(await group.wait(), group.usage)
    async with answered(tokenizer, request.params(), "the list") as group:
        chunks = await in_pieces(ChatWire(head, request, tokenizer), group)
        return whole, chunks, group.usage


@pytest.mark.parametrize("fields", [{}, {"n": 3}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 2, "n": 2}])
async def test_pieces_add_up_to_the_whole(tokenizer: Tokenizer, fields: dict[str, Any]) -> None:
    whole, chunks, _ = await answer(tokenizer, seed=3, **fields)
    assert len(whole["choices"]) == fields.get("n", 1)
    for choice in whole["choices"]:
        first, *rest = of_choice(chunks, choice["index"])
        assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert "".join(one["delta"].get("content", "") for one in rest) == choice["message"]["content"]
        assert [one["finish_reason"] for one in rest if one["finish_reason"]] == [choice["finish_reason"]]
        assert rest[-1]["finish_reason"]
        told = [token for one in rest if one["logprobs"] for token in one["logprobs"]["content"]]
        assert told == (choice["logprobs"]["content"] if choice["logprobs"] else [])


async def test_clients_read_what_is_told(tokenizer: Tokenizer) -> None:
    fields = {"logprobs": True, "top_logprobs": 2, "stream": True, "stream_options": {"include_usage": True}}
    whole, chunks, usage = await answer(tokenizer, temperature=0, **fields)
    read = ChatCompletion.model_validate(whole)
    assert (read.model, read.system_fingerprint, read.object) == ("tiny", "print", "chat.completion")
    assert read.id.startswith("chatcmpl-")
    assert read.usage is not None
    assert read.usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert read.choices[0].logprobs is not None
    tokens = read.choices[0].logprobs.content or []
    assert len(tokens) == usage.completion_tokens
    assert all(token.logprob == token.top_logprobs[0].logprob for token in tokens)
    assert {ChatCompletionChunk.model_validate(chunk).id for chunk in chunks} == {read.id}


async def test_usage_is_told_last_and_only_where_it_was_asked_for(tokenizer: Tokenizer) -> None:
    _, plain, _ = await answer(tokenizer, temperature=0, stream=True)
    _, asked, usage = await answer(tokenizer, temperature=0, stream=True, stream_options={"include_usage": True})
    assert all("usage" not in chunk for chunk in plain)
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == usage.completion_tokens
    assert len(asked) == len(plain) + 1


async def test_no_chunk_tells_nothing(tokenizer: Tokenizer) -> None:
    _, chunks, _ = await answer(tokenizer, seed=5, n=2, max_tokens=40)
    later = [one for index in (0, 1) for one in list(of_choice(chunks, index))[1:]]
    assert all(one["delta"].get("content") or one["finish_reason"] for one in later)
