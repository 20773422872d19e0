"""Two versions over runtimes that a test stops and lets go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from registry.package import ModelPackage
from serving.batch_plan import BatchPlan
from serving.batcher import BatchLimits
from serving.challenger import shadow
from serving.challenger.copies import TensorCopy
from serving.challenger.shadow import Shadow, ShadowLimits
from serving.challenger.statistics import PairStatistics
from serving.config import ServerConfig
from serving.deadline import Deadline
from serving.drift_feed import DriftFeed
from serving.generator import GeneratorLimits
from serving.logs import CURRENT_REQUEST
from serving.model_loader import LoadedModel, load_model
from serving.runtimes.fake import FakeRuntime
from serving.served_model import ServedModel
from serving.statistics import ModelStatistics
from serving.surroundings import Surroundings
from serving.variants import detect_host
from serving.workers import DecodePool
from tests.handmade import encoded
from tests.serving.host_server import until

SOON = Deadline()
MIDDLE = 128
"""Brightness from which the challenger does not say the same any more."""


@dataclass
class Pair:
    """Both say 0 of a dark picture; of a light one the champion says 1 and the challenger 2."""

    champion: ServedModel
    challenger: ServedModel
    asked_champion: FakeRuntime
    asked_challenger: FakeRuntime
    shadow: Shadow
    statistics: PairStatistics

    @property
    def outcomes(self) -> dict[str, int]:
        return self.statistics.outcomes


def runtime_that_says(light: int, loaded: LoadedModel) -> FakeRuntime:
    def compute(inputs: Mapping[str, Any]) -> dict[str, Any]:
        is_light = inputs["image"].mean(axis=(1, 2, 3)) >= MIDDLE
        logits = np.eye(5, dtype=np.float32)[np.where(is_light, light, 0)]
        return {"logits": logits, "embedding": np.zeros((len(logits), 3), np.float32)}

    return FakeRuntime(compute, loaded.runtime.inputs, loaded.runtime.outputs)


@pytest.fixture(scope="module")
def loaded(package: ModelPackage) -> LoadedModel:
    """Batches on threads, as those of any model that is not tiny: a test can not stop what runs on the loop."""
    found = load_model(package, ServerConfig(runtime_threads=1), detect_host())
    return replace(found, plan=BatchPlan(dict.fromkeys(found.plan.buckets, 0.01)))


@asynccontextmanager
async def paired(loaded: LoadedModel, share: float = 1.0, timeout_s: float = 20.0) -> AsyncIterator[Pair]:
    pool, feed = DecodePool(2), DriftFeed(64, 1.0)
    around = Surroundings(pool, feed, BatchLimits(64), 10**6, GeneratorLimits(64))
    fakes = [runtime_that_says(light, loaded) for light in (1, 2)]
    champion, challenger = (
        ServedModel("colours", version, replace(loaded, runtime=fake), ModelStatistics((1.0, 8.0)), around)
        for version, fake in zip("12", fakes, strict=True)
    )
    statistics = PairStatistics()
    made = Shadow(champion, challenger, statistics, ShadowLimits(share, timeout_s), pool)
    try:
        yield Pair(champion, challenger, *fakes, made, statistics)
    finally:
        made.close()
        for fake in fakes:
            fake.gate.set()
        await asyncio.gather(*(model.batcher.close(5.0) for model in (champion, challenger)))
        feed.close()
        pool.close()


@pytest.fixture
async def pair(loaded: LoadedModel) -> AsyncIterator[Pair]:
    async with paired(loaded) as made:
        yield made


def tensors(*brightness: int) -> dict[str, Any]:
    return {"image": np.stack([np.full((32, 32, 3), value, np.uint8) for value in brightness])}


async def test_pictures_and_tensors_are_asked_again_and_compared_one_by_one(pair: Pair) -> None:
    params = pair.champion.task.parse_params({"top_k": 1})
    payloads = [encoded(seed) for seed in range(5)]
    said = [prediction.classes[0].class_id for prediction in await pair.champion.predict_many(payloads, params, SOON)]
    await pair.champion.infer(tensors(10, 250, 20), SOON)
    await until(lambda: pair.outcomes == {"compared": 8})
    agreed = said.count(0) + 2
    assert pair.statistics.agreement.total == agreed < 8
    assert pair.statistics.agreement.count == 8
    assert pair.statistics.champion_seconds.count == pair.statistics.challenger_seconds.count == 6
    # What the challenger has seen is part of what it is watched by, but nobody has asked it.
    assert pair.challenger.statistics.requests == {}
    assert pair.challenger.statistics.decode.count == 5
    await until(lambda: pair.challenger.drift.observed == 8)


async def test_only_a_share_is_copied(loaded: LoadedModel) -> None:
    async with paired(loaded, share=0.25) as pair:
        for _ in range(80):
            await pair.champion.infer(tensors(10), SOON)
        await until(lambda: not pair.shadow._queue and pair.outcomes.get("compared", 0) >= 8)
        assert 8 <= pair.outcomes["compared"] <= 32


async def test_a_challenger_that_hangs_delays_nobody_and_what_does_not_fit_is_dropped(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MAX_QUEUED", 3)
    pair.asked_challenger.gate.clear()
    for _ in range(20):
        await pair.champion.infer(tensors(10), SOON)
        await asyncio.sleep(0)
    assert len(pair.asked_champion.batch_sizes) == 20
    assert pair.outcomes.keys() == {"dropped"}
    pair.asked_challenger.gate.set()
    await until(lambda: sum(pair.outcomes.values()) == 20)
    assert 3 <= pair.outcomes["compared"] <= 3 + shadow.MAX_IN_FLIGHT


async def test_large_copies_wait_in_smaller_numbers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = TensorCopy(tensors(10), {"logits": np.zeros((1, 5), np.float32)}, 0.0)
    monkeypatch.setattr(shadow, "MAX_QUEUED_BYTES", 2 * copy.num_bytes)
    for _ in range(3):
        pair.shadow.offer(copy)
    assert pair.outcomes == {"dropped": 1}


async def test_copies_wait_until_nobody_waits_for_the_champion(pair: Pair) -> None:
    pair.asked_champion.gate.clear()
    callers = [asyncio.create_task(pair.champion.infer(tensors(10), SOON)) for _ in range(9)]
    await until(lambda: pair.champion.num_waiting)
    pair.shadow.offer(TensorCopy(tensors(10), {"logits": np.eye(5, dtype=np.float32)[:1]}, 0.0))
    await asyncio.sleep(0.1)
    assert pair.asked_challenger.batch_sizes == []
    pair.asked_champion.gate.set()
    await asyncio.gather(*callers)
    await until(lambda: pair.outcomes == {"compared": 10})


async def test_what_the_challenger_can_not_answer_is_counted_and_said_once(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    async with paired(loaded, timeout_s=0.05) as pair:
        pair.asked_challenger.gate.clear()
        for _ in range(3):
            await pair.champion.infer(tensors(10), SOON)
        await until(lambda: pair.outcomes == {"failed": 3})
        assert caplog.text.count("challenger colours/2 could not answer a copy: DeadlineExceeded") == 1
        assert pair.statistics.agreement.count == pair.statistics.challenger_seconds.count == 0


async def test_tensors_of_another_shape_say_nothing_about_the_versions(loaded: LoadedModel) -> None:
    async with paired(loaded) as pair:
        pair.asked_challenger._inputs = ()
        await pair.champion.infer(tensors(10, 20), SOON)
        await until(lambda: pair.outcomes == {"incomparable": 2})
        assert pair.asked_challenger.batch_sizes == []


async def test_copies_are_nobodys_request(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def note(*_: Any) -> Any:
        seen.append(CURRENT_REQUEST.get())
        raise RuntimeError

    monkeypatch.setattr(pair.challenger, "infer", note)
    CURRENT_REQUEST.set("somebody")
    await pair.champion.infer(tensors(10), SOON)
    await until(lambda: seen == [""])
    CURRENT_REQUEST.set("")


async def test_after_its_end_nothing_is_copied_any_more(pair: Pair) -> None:
    pair.asked_challenger.gate.clear()
    for _ in range(6):
        await pair.champion.infer(tensors(10), SOON)
    await until(lambda: pair.challenger.num_in_flight)
    pair.shadow.close()
    await until(lambda: pair.outcomes == {"dropped": 6})
    assert pair.champion.tap is None
    await pair.champion.infer(tensors(10), SOON)
    assert pair.outcomes == {"dropped": 6}
