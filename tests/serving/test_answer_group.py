from __future__ import annotations

import asyncio

import pytest

from serving.answer_group import AnswerGroup
from serving.generation.answering import Answering
from serving.generation.request import Delta, GenerationRequest
from tasks.errors import DeadlineExceeded, NotReady
from tasks.generation import Generated, Prompt, TokenScore
from tasks.generation_params import GenerationParams


def answering(num_choices: int = 1) -> Answering:
    request = GenerationRequest(Prompt((1, 2)), GenerationParams(), frozenset(), lambda: None)  # type: ignore[arg-type, return-value]
    return Answering(request, num_choices)


def generated(text: str) -> Generated:
    return Generated(tuple(map(ord, text)), text, "stop", (-1.0,) * len(text))


def piece(text: str, choice: int = 0) -> Delta:
    return Delta(choice, text, tuple(TokenScore(ord(letter), -1.0) for letter in text), (), None)


def end(text: str, choice: int = 0) -> Delta:
    return Delta(choice, "", (), (), generated(text))


async def texts_of(group: AnswerGroup) -> dict[int, str]:
    texts: dict[int, str] = {}
    async for delta in group:
        texts[delta.choice] = texts.get(delta.choice, "") + delta.text
    return texts


async def test_deltas_add_up_also_where_the_end_brings_the_rest() -> None:
    one = answering()
    group = AnswerGroup([one], 1)
    one.receive(piece("ab"))
    one.receive(end("abc"))
    await group.begin()
    deltas = [delta async for delta in group]
    assert [delta.text for delta in deltas] == ["ab", "c"]
    assert [score.token for delta in deltas for score in delta.tokens] == [97, 98, 99]
    assert group.answers == [[generated("abc")]]


async def test_choices_of_several_prompts_are_numbered_through() -> None:
    both = [answering(2), answering(2)]
    group = AnswerGroup(both, 2)
    for index, one in enumerate(both):
        for choice in range(2):
            one.receive(piece(f"{index}{choice}", choice))
            one.receive(end(f"{index}{choice}!", choice))
    assert await texts_of(group) == {0: "00!", 1: "01!", 2: "10!", 3: "11!"}
    assert group.usage == (4, 0, 12)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_failure_is_raised_and_ends_the_others(count: int) -> None:
    all_of_them = [answering() for _ in range(count)]
    group = AnswerGroup(all_of_them, 1)
    all_of_them[-1].fail(DeadlineExceeded("time is up"))
    with pytest.raises(DeadlineExceeded):
        await group.wait()
    assert all(one.is_over for one in all_of_them)


@pytest.mark.parametrize("count", [1, 3])
async def test_who_is_cancelled_while_waiting_cancels_all(count: int) -> None:
    all_of_them = [answering() for _ in range(count)]
    waiting = asyncio.create_task(AnswerGroup(all_of_them, 1).wait())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(one.is_over for one in all_of_them)


async def test_a_group_left_in_the_middle_leaves_no_task_behind() -> None:
    all_of_them = [answering() for _ in range(3)]
    group = AnswerGroup(all_of_them, 1)
    all_of_them[0].receive(piece("a"))
    await group.begin()
    group.cancel()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(NotReady):
        await anext(aiter(all_of_them[1]))
