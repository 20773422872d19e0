from __future__ import annotations

from typing import Any

import pytest
from openai.types import Completion

from serving.openai.completion import CompletionWire, best
from serving.openai.completion_request import CompletionRequest
from serving.openai.head import Head
from tasks.generation import Generated
from tasks.text import Tokenizer
from tests.serving.openai.made import answered, ask, in_pieces, of_choice, tokenizer_in

PROMPTS = ("the list", "quick")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(tmp_path_factory.mktemp("tokenizer"))


async def answer(tokenizer: Tokenizer, **fields: Any) -> tuple[Any, list[Any]]:
    """The same answer whole, and in pieces."""
    request = ask(CompletionRequest, prompt=PROMPTS, **fields)
    head = Head("cmpl", "tiny", "print")
    async with answered(tokenizer, request.params(), *PROMPTS) as group:
        whole = CompletionWire(head, request, PROMPTS, tokenizer).whole(await group.wait(), group.usage)
    async with answered(tokenizer, request.params(), *PROMPTS) as group:
        return whole, await in_pieces(CompletionWire(head, request, PROMPTS, tokenizer), group)


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"echo": True, "n": 2}, {"logprobs": 0}, {"logprobs": 2, "n": 2}])
async def test_pieces_add_up_to_the_whole(tokenizer: Tokenizer, fields: dict[str, Any]) -> None:
    whole, chunks = await answer(tokenizer, seed=3, **fields)
    assert [choice["index"] for choice in whole["choices"]] == list(range(len(PROMPTS) * fields.get("n", 1)))
    for choice in whole["choices"]:
        parts = list(of_choice(chunks, choice["index"]))
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [choice["finish_reason"]]
        if choice["logprobs"] is not None:
            for column, told in choice["logprobs"].items():
                assert [one for part in parts for one in part["logprobs"][column]] == told


async def test_choices_belong_to_their_prompts_which_can_be_repeated(tokenizer: Tokenizer) -> None:
    asked = {"temperature": 0, "n": 2}
    plain, _ = await answer(tokenizer, **asked)
    echoed, chunks = await answer(tokenizer, echo=True, **asked)
    prompts = [PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[1]]
    texts = [choice["text"] for choice in plain["choices"]]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert [choice["text"] for choice in echoed["choices"]] == [
        prompt + text for prompt, text in zip(prompts, texts, strict=True)
    ]
    assert [chunk["choices"][0]["text"] for chunk in chunks[:4]] == prompts


async def test_the_best_of_each_prompt_is_answered_and_all_are_paid_for(tokenizer: Tokenizer) -> None:
    every, _ = await answer(tokenizer, seed=4, n=4, logprobs=0, max_tokens=6)
    chosen, _ = await answer(tokenizer, seed=4, n=1, best_of=4, logprobs=0, max_tokens=6)

    def mean(choice: Any) -> float:
        return float(sum(choice["logprobs"]["token_logprobs"]) / len(choice["logprobs"]["token_logprobs"]))

    assert [choice["text"] for choice in chosen["choices"]] == [
        max(every["choices"][first : first + 4], key=mean)["text"] for first in (0, 4)
    ]
    assert chosen["usage"] == every["usage"]


async def test_clients_read_what_is_told(tokenizer: Tokenizer) -> None:
    asked = {"temperature": 0, "stop": ["e"], "stream": True, "stream_options": {"include_usage": True}}
    whole, chunks = await answer(tokenizer, **asked)
    read = Completion.model_validate(whole)
    assert (read.object, read.model) == ("text_completion", "tiny")
    assert read.id.startswith("cmpl-")
    told = [Completion.model_construct(**chunk) for chunk in chunks]
    assert {one.id for one in told} == {read.id}
    assert (told[-1].choices, told[-1].usage) == ([], read.usage)


def test_as_many_as_were_asked_for_stay_in_their_order() -> None:
    answers = [Generated((1,), "a", "stop", (-3.0,), score=-3.0), Generated((2,), "b", "stop", (-1.0,), score=-1.0)]
    assert best(answers, 2) == answers
    assert best(answers, 1) == [answers[1]]
