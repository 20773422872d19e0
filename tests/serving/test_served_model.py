from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from registry.package import ModelPackage
from serving.batcher import BatchLimits
from serving.config import ServerConfig
from serving.deadline import Deadline
from serving.drift_feed import DriftFeed
from serving.generator import GeneratorLimits
from serving.model_loader import load_model
from serving.runtimes.fake import FakeRemote, FakeRuntime
from serving.served_model import ServedModel
from serving.statistics import ModelStatistics
from serving.surroundings import Surroundings
from serving.variants import detect_host
from serving.workers import DecodePool
from tasks.errors import BadInput, DeadlineExceeded, TooLarge
from tests.handmade import encoded

SOON = Deadline()


@pytest.fixture
async def model(package: ModelPackage) -> AsyncIterator[ServedModel]:
    loaded = load_model(package, ServerConfig(runtime_threads=1), detect_host())
    pool, feed = DecodePool(2), DriftFeed(64, 1.0)
    surroundings = Surroundings(pool, feed, BatchLimits(64), 10_000, GeneratorLimits(64))
    served = ServedModel("colours", "1", loaded, ModelStatistics((1.0, 8.0)), surroundings)
    yield served
    await served.retire(0)
    feed.close()
    pool.close()


def pictures(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3)).astype(np.uint8)


async def test_bytes_in_prediction_out(model: ServedModel) -> None:
    params = model.task.parse_params({"top_k": 2})
    prediction = await model.predict(encoded(3), params, SOON)
    assert len(prediction.classes) == 2
    assert sum(c.score for c in prediction.classes) <= 1.0001
    assert model.statistics.decode.count == model.statistics.queue.count == model.statistics.encode.count == 1


async def test_several_pictures_are_answered_in_order(model: ServedModel) -> None:
    params = model.task.parse_params({})
    payloads = [encoded(seed) for seed in range(6)]
    together = await model.predict_many(payloads, params, SOON)
    assert together == [await model.predict(payload, params, SOON) for payload in payloads]


async def test_one_bad_picture_fails_the_call_and_nothing_else(model: ServedModel) -> None:
    params = model.task.parse_params({})
    with pytest.raises(BadInput):
        await model.predict_many([encoded(1), b"no picture", encoded(2)], params, SOON)
    assert await model.predict(encoded(1), params, SOON)
    assert model.num_in_flight == 0
    assert model.batcher.num_waiting_rows == 0


async def test_a_picture_over_the_configured_limit_is_refused(model: ServedModel) -> None:
    with pytest.raises(TooLarge, match="10000"):
        await model.predict(encoded(1, height=200, width=200), model.task.parse_params({}), SOON)


async def test_tensors_of_any_batch_size_give_what_each_gives_alone(model: ServedModel) -> None:
    batch = pictures(21)
    together = await model.infer({"image": batch}, SOON)
    assert set(together) == {"logits", "embedding"}
    for index in range(21):
        alone = await model.infer({"image": batch[index : index + 1]}, SOON, outputs=["logits"])
        assert set(alone) == {"logits"}
        np.testing.assert_allclose(alone["logits"][0], together["logits"][index], rtol=1e-4, atol=1e-5)


async def test_read_only_and_unaligned_tensors_are_taken_as_they_come(model: ServedModel) -> None:
    batch = pictures(1)
    raw = b"x" + batch.tobytes()
    view = np.frombuffer(raw, np.uint8, offset=1).reshape(batch.shape)
    answer = await model.infer({"image": view}, SOON)
    np.testing.assert_array_equal(answer["logits"], (await model.infer({"image": batch}, SOON))["logits"])


async def test_a_deadline_covers_decoding_too(model: ServedModel) -> None:
    with pytest.raises(DeadlineExceeded):
        await model.predict(encoded(1), model.task.parse_params({}), Deadline.after(0))
    assert model.num_in_flight == 0


async def test_a_caller_who_leaves_frees_everything(model: ServedModel) -> None:
    caller = asyncio.create_task(model.predict(encoded(1), model.task.parse_params({}), SOON))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    assert caller.cancelled()
    assert (model.num_in_flight, model.batcher.num_waiting_rows) == (0, 0)


async def test_every_answered_picture_is_watched(model: ServedModel) -> None:
    await model.predict(encoded(1), model.task.parse_params({}), SOON)
    await model.infer({"image": pictures(5)}, SOON)
    async with asyncio.timeout(10):
        while model.drift.observed < 6:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.002)
    assert model.monitor.report().num_images == 6


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_what_hangs_keeps_its_memory_here_and_no_connection_elsewhere(
    model: ServedModel, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(timeout_s: float) -> bool:
        return False

    kind, arguments = (FakeRuntime, ()) if where == "here" else (FakeRemote, (2,))
    local, runtime = model.runtime, kind(lambda inputs: {}, model.runtime.inputs, model.runtime.outputs, *arguments)
    monkeypatch.setattr(model.batcher, "close", never)
    model.runtime = runtime
    await model.retire(0)
    assert runtime.closed is (where == "elsewhere")
    monkeypatch.undo()
    model.runtime = local
