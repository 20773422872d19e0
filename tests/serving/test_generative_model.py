"""The path of a request that is answered token by token, over a real package."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from registry.package import ModelPackage
from serving.batcher import BatchLimits
from serving.config import ServerConfig
from serving.deadline import Deadline
from serving.drift_feed import DriftFeed
from serving.generation.statistics import GenerationStatistics
from serving.generative_loader import load_generative
from serving.generative_model import GenerativeModel
from serving.generator import GeneratorLimits
from serving.statistics import ModelStatistics
from serving.surroundings import Surroundings
from serving.variants import detect_host
from serving.workers import DecodePool
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded, Unsupported
from tasks.generation_params import GenerationParams
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

SOON = Deadline()


@dataclass
class Around:
    """What a model is put into, and closed after it."""

    pool: DecodePool
    feed: DriftFeed

    def open(self, package: ModelPackage, max_waiting: int = 64) -> GenerativeModel:
        loaded = load_generative(package, ServerConfig(runtime_threads=1), detect_host())
        limits = BatchLimits(64), 10**6, GeneratorLimits(max_waiting)
        generation = GenerationStatistics(loaded.graphs.decoder.num_slots)
        surroundings = Surroundings(self.pool, self.feed, *limits)
        return GenerativeModel("tiny", "1", loaded, ModelStatistics((1.0,)), generation, surroundings)


@pytest.fixture
def around() -> Iterator[Around]:
    made = Around(DecodePool(1), DriftFeed(64, 1.0))
    yield made
    made.feed.close()
    made.pool.close()


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("package") / "tiny", context=256)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_captioner_package(tmp_path_factory.mktemp("package") / "captions")


@pytest.fixture
async def model(language: ModelPackage, around: Around) -> AsyncIterator[GenerativeModel]:
    made = around.open(language)
    yield made
    await made.retire(0)


@pytest.fixture
async def captions(captioner: ModelPackage, around: Around) -> AsyncIterator[GenerativeModel]:
    made = around.open(captioner)
    yield made
    await made.retire(0)


def greedy(model: GenerativeModel, num_tokens: int) -> GenerationParams:
    """So many of the best tokens, come what may."""
    return model.task.parse_params({"temperature": 0, "max_tokens": num_tokens, "ignore_end": True})


async def test_a_prompt_is_continued_as_the_exporting_host_did(model: GenerativeModel) -> None:
    package = model.package
    promised = package.golden_outputs("fp32")["continuation"]
    prompts = [payload.decode() for payload in package.golden_inputs()]
    started = [await model.start(model.task.prompt(text), greedy(model, promised.shape[1]), SOON) for text in prompts]
    for answering, tokens in zip(started, promised, strict=True):
        (answer,) = await answering.wait()
        assert answer.tokens == tuple(tokens)
        assert answer.finish_reason == "length"
    assert model.num_in_flight == model.num_waiting == 0
    assert model.generation.num_completion_tokens == promised.size


async def test_text_comes_as_it_is_written(model: GenerativeModel) -> None:
    answering = await model.start(model.task.prompt("Write the text"), greedy(model, 20), SOON)
    assert model.num_in_flight == 1
    pieces = [delta.text async for delta in answering]
    assert len(pieces) > 3
    assert "".join(pieces) == answering.answers[0].text


async def test_what_was_answered_is_watched_and_what_was_not_is_not(model: GenerativeModel) -> None:
    await (await model.start(model.task.prompt("Write the text"), greedy(model, 5), SOON)).wait()
    left = await model.start(model.task.prompt("Write the text"), greedy(model, 200), SOON)
    left.cancel()
    async with asyncio.timeout(10):
        while not model.drift.observed:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.002)
    assert (model.drift.observed, model.drift.failed, model.num_in_flight) == (1, 0, 0)
    assert model.drift.bins["answer_tokens"].num_images == 1


async def test_a_retired_version_writes_its_answers_to_the_end_and_begins_no_more(
    language: ModelPackage, around: Around
) -> None:
    model = around.open(language)
    stream = await model.start(model.task.prompt("Wait until"), greedy(model, 150), SOON)
    await anext(stream)
    retiring = asyncio.create_task(model.retire(timeout_s=30))
    (answer,) = await stream.wait()
    assert len(answer.tokens) == 150
    await retiring
    with pytest.raises(NotReady, match="unloaded"):
        await model.start(model.task.prompt("Wait until"), greedy(model, 5), SOON)


async def test_a_version_that_must_go_ends_its_streams_with_a_reason(
    language: ModelPackage, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.retirement.CLOSE_TIMEOUT_S", 0.0)
    model = around.open(language)
    stream = await model.start(model.task.prompt("Wait"), greedy(model, 200), SOON)
    await model.retire(timeout_s=0)
    with pytest.raises(NotReady, match="unloaded"):
        await stream.wait()
    assert model.num_in_flight == 0


async def test_text_is_no_picture(model: GenerativeModel) -> None:
    with pytest.raises(Unsupported, match="takes no pictures"):
        await model.encode(b"", SOON)


async def test_a_picture_is_encoded_then_described(captions: GenerativeModel) -> None:
    payload = captions.package.golden_inputs()[0]
    promised = captions.package.golden_outputs("fp32")["continuation"][0]
    with captions.lease():
        encoded = await captions.encode(payload, SOON)
        prompt = captions.task.prompt_of(encoded)
        answering = await captions.start(prompt, greedy(captions, len(promised)), SOON, encoded)
    assert captions.num_in_flight == 1
    (answer,) = await answering.wait()
    assert answer.tokens == tuple(promised)
    assert answering.usage.prompt_tokens == prompt.length
    async with asyncio.timeout(10):
        while not captions.drift.observed:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.002)
    assert {"brightness", "answer_tokens"} <= captions.drift.bins.keys()
    assert captions.statistics.decode.count == captions.statistics.compute.count == 1


async def test_a_deadline_that_has_passed_is_told_before_anything_is_encoded(captions: GenerativeModel) -> None:
    with pytest.raises(DeadlineExceeded):
        await captions.encode(captions.package.golden_inputs()[0], Deadline.after(-1))
    assert captions.num_in_flight == 0


async def test_an_answer_keeps_to_a_schema_and_one_that_is_none_is_told(model: GenerativeModel) -> None:
    params = model.task.parse_params({"regex": "(yes|no), [0-9]{3}", "max_tokens": 50})
    (answer,) = await (await model.start(model.task.prompt("Is it?"), params, SOON)).wait()
    assert re.fullmatch("(yes|no), [0-9]{3}", answer.text)
    broken = model.task.parse_params({"regex": "([0-9]"})
    with pytest.raises(BadInput, match="regex can not be compiled"):
        await model.start(model.task.prompt("Is it?"), broken, SOON)
    assert model.num_in_flight == 0


async def test_a_constraint_is_compiled_in_line_and_in_time(language: ModelPackage, around: Around) -> None:
    model, busy = around.open(language, max_waiting=1), threading.Event()
    blocker = asyncio.create_task(around.pool.run(busy.wait))
    params = model.task.parse_params({"regex": "(yes|no)"})
    compiling = asyncio.create_task(model.start(model.task.prompt("Is it?"), params, Deadline.after(0.05)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 answers wait"):
        await model.start(model.task.prompt("Is it?"), params, SOON)
    with pytest.raises(DeadlineExceeded):
        await compiling
    busy.set()
    await blocker
    (answer,) = await (await model.start(model.task.prompt("Is it?"), params, SOON)).wait()
    assert answer.text in ("yes", "no")
    await model.retire(0)
