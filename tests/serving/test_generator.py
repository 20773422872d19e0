from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.generation.fake_decoder import FakeDecoder
from serving.generation.pace import Pace
from tasks.errors import NotReady
from tasks.generation import Generated, Prompt
from tests.serving.generation.bench import Bench, greedy


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


async def test_each_of_many_requests_gets_the_text_it_would_get_alone(bench: Bench) -> None:
    prompts = [tuple(np.random.default_rng(i).integers(1, 16, 1 + i % 7).tolist()) for i in range(30)]
    texts = await asyncio.gather(*(bench.text(prompt, temperature=0, max_tokens=12) for prompt in prompts))
    assert texts == [greedy(prompt, 12) for prompt in prompts]


PREFIXES = [[3] * 20, [3] * 20 + [5] * 20, [7, 8] * 12, []]
SAMPLING = st.fixed_dictionaries(
    {"max_tokens": st.integers(1, 10)},
    optional={
        "temperature": st.sampled_from([0, 0.5, 1.5]),
        "top_k": st.sampled_from([0, 3]),
        "top_p": st.sampled_from([0.5, 0.9]),
        "repetition_penalty": st.sampled_from([0.8, 1.3]),
        "stop": st.sampled_from([("b",), ("cd", "ef", "gh"), ("aaa",)]),
        "logprobs": st.sampled_from([0, 2]),
        "ignore_end": st.just(True),
        "n": st.integers(1, 5),
    },
)
SEARCHING = st.fixed_dictionaries(
    {"num_beams": st.integers(2, 3), "max_tokens": st.integers(1, 6)},
    optional={"length_penalty": st.sampled_from([0.0, 1.0, 2.0]), "stop": st.sampled_from([("b",), ("cd", "ef")])},
)


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    params = draw(SAMPLING | SEARCHING)
    if "num_beams" not in params:
        params["seed"] = draw(st.integers(0, 1000))
    tokens = draw(st.sampled_from(PREFIXES)) + draw(st.lists(st.integers(1, 15), min_size=1, max_size=6))
    features = draw(st.sampled_from([None, None, 0.0, 1.0]))
    rows = None if features is None else np.full((2, 3), features, np.float32)
    return {"prompt": Prompt(tuple(tokens), rows), **params}


async def answers_alone(asking: dict[str, Any]) -> list[Generated]:
    bench = Bench(FakeDecoder(num_slots=3))
    answers = await bench.submit(**asking).wait()
    await bench.close()
    return answers


@settings(max_examples=60)
@given(st.data())
def test_no_request_can_tell_what_runs_beside_it(data: st.DataObject) -> None:
    """Whenever it arrives, whoever leaves, whatever is cached, however prompts are cut: the answers are the same."""
    requests = data.draw(st.lists(asked(), min_size=1, max_size=8))
    cancelled = data.draw(st.sets(st.integers(0, 7)))
    pieces = data.draw(st.lists(st.sampled_from([8, 12, 64]), min_size=1, max_size=5))
    decoder = FakeDecoder(num_slots=data.draw(st.integers(3, 5)), can_rewind=data.draw(st.booleans()))
    delays = data.draw(st.lists(st.sampled_from([0, 0, 0, 0.001]), min_size=8, max_size=8))
    asyncio.run(asked_together(requests, cancelled, pieces, decoder, delays))


async def asked_together(
    requests: list[dict[str, Any]], cancelled: set[int], pieces: list[int], decoder: FakeDecoder, delays: list[float]
) -> None:
    expected = [await answers_alone(asking) for asking in requests]
    bench, turns = Bench(decoder), iter(range(10**6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "allowance", lambda *_: pieces[next(turns) % len(pieces)])
        answerings = []
        for number, asking in enumerate(requests):
            await asyncio.sleep(delays[number])
            answerings.append(bench.submit(**asking))
        for number in cancelled & set(range(len(requests))):
            await asyncio.sleep(delays[number])
            answerings[number].cancel()
        answers = await asyncio.gather(*(answering.wait() for answering in answerings), return_exceptions=True)
        await bench.until(lambda: bench.generator.num_running == 0)
        await bench.close()
    for number, answer in enumerate(answers):
        if isinstance(answer, BaseException):
            assert number in cancelled, repr(answer)
            assert isinstance(answer, NotReady)
        else:
            assert answer == expected[number]


async def test_the_first_choice_of_many_answers_is_the_only_one_to_take_in_the_prompt(bench: Bench) -> None:
    answers = await bench.submit([5] * 30, n=3, seed=1, max_tokens=6).wait()
    assert len({answer.text for answer in answers}) == 3, "each choice has random numbers of its own"
    assert sum(int(run[2]) for run in bench.fake.runs if run[0] == "prefill") == 30


async def test_a_seed_gives_the_same_text_again_and_no_seed_another(bench: Bench) -> None:
    seeded = [await bench.text(seed=7, max_tokens=20, ignore_end=True) for _ in range(2)]
    free = [await bench.text(max_tokens=20, ignore_end=True) for _ in range(2)]
    assert seeded[0] == seeded[1]
    assert len({*seeded, *free}) == 3


async def test_text_comes_in_order_and_the_last_piece_carries_the_whole(bench: Bench) -> None:
    answering = bench.submit(temperature=0, max_tokens=8, logprobs=2, ignore_end=True)
    deltas = [delta async for delta in answering]
    finished = deltas[-1].finished
    assert finished is not None
    assert finished.text == "".join(delta.text for delta in deltas)
    assert finished.tokens == tuple(score.token for delta in deltas for score in delta.tokens)
    assert finished.top_logprobs == tuple(top for delta in deltas for top in delta.top_logprobs)
    assert all(top[0] == score for delta in deltas for score, top in zip(delta.tokens, delta.top_logprobs, strict=True))
    assert finished.finish_reason == "length"
    assert answering.answers == [finished]
    assert answering.usage == (3, 0, 8)


async def test_a_stop_text_over_several_tokens_ends_the_answer_before_it(bench: Bench) -> None:
    whole = await bench.text(temperature=0, max_tokens=10, ignore_end=True)
    answering = bench.submit(temperature=0, max_tokens=10, ignore_end=True, stop=(whole[4:7],))
    pieces = [delta.text async for delta in answering]
    assert "".join(pieces) == whole[:4]
    assert answering.answers[0].finish_reason == "stop"
    assert answering.answers[0].stop_text == whole[4:7]


async def test_an_answer_ends_where_the_context_does(bench: Bench) -> None:
    answering = bench.submit([1] * 60, max_tokens=100, ignore_end=True, seed=0)
    (answer,) = await answering.wait()
    assert (len(answer.tokens), answer.finish_reason) == (4, "length")
    (answer,) = await bench.submit([1] * 63, max_tokens=100, ignore_end=True, seed=0).wait()
    assert len(answer.tokens) == 1


async def test_a_shared_beginning_is_taken_in_once(bench: Bench) -> None:
    beginning = [4] * 40
    await bench.text([*beginning, 1], max_tokens=3, seed=0)
    answering = bench.submit([*beginning, 2], max_tokens=3, temperature=0)
    assert (await answering.wait())[0].text == greedy((*beginning, 2), 3)
    assert answering.usage.cached_tokens == 40
    assert sum(int(run[2]) for run in bench.fake.runs if run[0] == "prefill") == 42
    numbers = bench.statistics
    assert (numbers.num_prefix_lookups, numbers.num_prefix_hits, numbers.num_cached_tokens) == (2, 1, 40)


async def test_the_same_tokens_after_another_picture_are_another_prompt(bench: Bench) -> None:
    pictures = [np.full((20, 3), value, np.float32) for value in (0, 1, 0)]
    answerings = []
    for picture in pictures:
        answerings.append(bench.submit(Prompt((1, 2), picture), temperature=0, max_tokens=5, ignore_end=True))
        await answerings[-1].wait()
    assert [answering.usage.cached_tokens for answering in answerings] == [0, 0, 21]
    texts = [answering.answers[0].text for answering in answerings]
    assert texts[0] == texts[2] != texts[1]


async def test_a_recurrent_state_is_kept_where_two_prompts_part() -> None:
    bench = Bench(FakeDecoder(can_rewind=False))
    beginning = [4] * 40
    cached = []
    for ending in (1, 2, 3, 4):
        answering = bench.submit([*beginning, ending], max_tokens=3, temperature=0)
        assert (await answering.wait())[0].text == greedy((*beginning, ending), 3)
        cached.append(answering.usage.cached_tokens)
    assert cached == [0, 0, 40, 40], "the second shows where they part, the others begin there"
    await bench.close()


async def test_statistics_add_up(bench: Bench) -> None:
    await asyncio.gather(*(bench.submit(n=2, max_tokens=5, seed=i).wait() for i in range(6)))
    numbers = bench.statistics
    assert sum(numbers.finished.values()) == 12
    assert numbers.total.count == numbers.first_token.count == 6
    assert numbers.queue.count == 12
    assert numbers.num_prompt_tokens == 18
    assert numbers.decoding.count == len([run for run in bench.fake.runs if run[0] == "decode"])
    assert 0 < numbers.slot_occupancy <= 1
    assert (bench.generator.num_running, bench.generator.num_waiting) == (0, 0)
