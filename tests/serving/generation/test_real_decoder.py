"""The promise of the generator once more, over the graphs of a package: no request can tell what runs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from serving.generation.request import GenerationRequest
from serving.generative_loader import GenerativeGraphs, open_generative
from serving.runtimes.compute_threads import ONE_THREAD
from tasks.generation import Generated, Prompt
from tests.serving.generation.bench import Bench
from tests.tiny_language import CORPUS, build_language_package


@pytest.fixture(scope="module", params=["llama", "lstm"])
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenerativeGraphs]:
    package = build_language_package(tmp_path_factory.mktemp("package") / "tiny", request.param)
    opened = open_generative(package, "fp32", num_slots=4, threads=ONE_THREAD)
    yield opened
    opened.close()


def asked(graphs: GenerativeGraphs, seed: int) -> GenerationRequest:
    """One of many kinds of request."""
    random = np.random.default_rng(seed)
    text = CORPUS[seed % 2][: int(random.integers(3, 60))]
    params: dict[str, Any] = {"max_tokens": int(random.integers(1, 20)), "ignore_end": seed % 3 == 0}
    if seed % 5 == 0:
        params |= {"num_beams": 3, "n": 2}
    else:
        params |= {"seed": seed, "temperature": float(random.choice([0.0, 0.7, 1.3])), "n": 1 + seed % 3}
        params |= {"top_p": 0.9, "stop": ("e",)} if seed % 4 == 0 else {}
    params |= {"json_schema": '{"type": "object"}'} if seed % 7 == 1 else {}
    task, parsed = graphs.task, graphs.task.parse_params(params)
    prompt = task.prompt(text)
    return GenerationRequest(
        prompt, parsed, task.end_tokens, lambda: task.detokeniser(prompt), graphs.constraints.compile(parsed)
    )


async def answered(graphs: GenerativeGraphs, seeds: list[int]) -> list[list[Generated]]:
    """Asked for all at once; every fourth has a companion that leaves again."""
    bench = Bench(graphs.decoder)
    answerings = []
    for seed in seeds:
        answerings.append(bench.generator.submit(asked(graphs, seed)))
        if len(seeds) > 1 and seed % 4 == 0:
            leaving = bench.generator.submit(asked(graphs, seed + 1))
            await asyncio.sleep(0.002)
            leaving.cancel()
    answers = [await answering.wait() for answering in answerings]
    await bench.close()
    return answers


def test_answers_are_the_same_alone_and_together(graphs: GenerativeGraphs) -> None:
    seeds = list(range(30))
    together = asyncio.run(answered(graphs, seeds))
    for seed, answers in zip(seeds, together, strict=True):
        (alone,) = asyncio.run(answered(graphs, [seed]))
        assert [answer.text for answer in answers] == [answer.text for answer in alone], seed
        for one, other in zip(answers, alone, strict=True):
            assert one.tokens == other.tokens
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_a_shared_beginning_is_taken_in_once(graphs: GenerativeGraphs) -> None:
    """Keys and values are reused as far as they are the same; a recurrent state from a copy made where prompts part."""
    task, params = graphs.task, graphs.task.parse_params({"temperature": 0, "max_tokens": 8, "ignore_end": True})
    prompts = [task.prompt("QRSTUVWXYZ " * 3 + ending) for ending in ("", " one", " two", " three")]

    def asking(prompt: Prompt) -> GenerationRequest:
        return GenerationRequest(prompt, params, task.end_tokens, lambda: task.detokeniser(prompt), None)

    async def ask() -> list[tuple[str, int]]:
        bench = Bench(graphs.decoder)
        answerings = []
        for prompt in prompts:
            answerings.append(bench.generator.submit(asking(prompt)))
            await answerings[-1].wait()
        await bench.close()
        return [(answering.answers[0].text, answering.usage.cached_tokens) for answering in answerings]

    async def alone(prompt: Prompt) -> str:
        bench = Bench(graphs.decoder)
        (answer,) = await bench.generator.submit(asking(prompt)).wait()
        await bench.close()
        return answer.text

    texts, cached = zip(*asyncio.run(ask()), strict=True)
    assert list(texts) == [asyncio.run(alone(prompt)) for prompt in prompts]
    assert cached[0] == 0
    assert all(cached[2:])
