from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest

from monitoring.monitor import Monitor
from monitoring.profile import decode_profile
from registry.package import ModelPackage
from serving.drift_feed import DriftCounts, DriftFeed, Observed, Watched
from tasks.task import open_task

OUTPUTS = {"logits": np.zeros(5, np.float32), "embedding": np.zeros(3, np.float32)}
TENSORS = {"image": np.full((32, 32, 3), 128, np.uint8)}


@pytest.fixture
def watched(package: ModelPackage) -> Watched:
    task = open_task(package.task_spec)
    monitor = Monitor(decode_profile(package.profile_bytes("fp32")))
    return Watched(task, monitor, DriftCounts(), task.parse_params({}))


@pytest.fixture
def feed() -> Iterator[DriftFeed]:
    made = DriftFeed(max_queue=4, cpu_share=1.0)
    yield made
    made.close()


async def until_observed(counts: DriftCounts, number: int) -> None:
    async with asyncio.timeout(10):
        while counts.observed + counts.failed < number:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.002)


async def test_tensors_and_pictures_reach_monitor_and_counters(watched: Watched, feed: DriftFeed) -> None:
    sample = watched.task.sample_from_tensor(TENSORS["image"])
    feed.offer([Observed(watched, None, TENSORS, OUTPUTS), Observed(watched, sample, TENSORS, OUTPUTS)])
    await until_observed(watched.counts, 2)
    assert watched.counts.bins["predicted_class"].num_images == 2
    assert watched.counts.bins["brightness"].num_images == 2
    assert watched.monitor.report().num_images == 2


async def test_what_does_not_fit_is_dropped_and_counted(watched: Watched, feed: DriftFeed) -> None:
    feed.offer([Observed(watched, None, TENSORS, OUTPUTS)] * 50)
    assert watched.counts.dropped >= 50 - 4 - 1
    await until_observed(watched.counts, 50 - watched.counts.dropped)
    assert watched.counts.observed + watched.counts.dropped == 50


async def test_a_picture_that_can_not_be_judged_is_counted_and_the_feed_goes_on(
    watched: Watched, feed: DriftFeed
) -> None:
    feed.offer([Observed(watched, None, {"image": np.zeros((1, 1, 3), np.uint8)}, OUTPUTS)])
    feed.offer([Observed(watched, None, TENSORS, OUTPUTS)])
    await until_observed(watched.counts, 2)
    assert (watched.counts.failed, watched.counts.observed) == (1, 1)


def test_closing_does_not_wait_for_the_share_of_the_processor(watched: Watched) -> None:
    feed = DriftFeed(max_queue=4, cpu_share=1e-9)
    feed.offer([Observed(watched, None, TENSORS, OUTPUTS)] * 4)
    while not watched.counts.observed:
        time.sleep(0.001)
    feed.close()
