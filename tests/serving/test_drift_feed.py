from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from monitoring.monitor import Monitor
from monitoring.profile import decode_profile
from registry.package import ModelPackage
from serving.drift_feed import DriftCounts, DriftFeed, Observed, Watched
from tasks.task import Category, Observation, Scalar


def signals() -> dict[str, Observation]:
    """What a request might have shown."""
    return {"predicted_class": Category(1), "brightness": Scalar(0.5)}


def no_signals() -> dict[str, Observation]:
    raise ValueError("a request that can not be judged")


@pytest.fixture
def watched(package: ModelPackage) -> Watched:
    return Watched(Monitor(decode_profile(package.profile_bytes("fp32"))), DriftCounts())


@pytest.fixture
def feed() -> Iterator[DriftFeed]:
    made = DriftFeed(max_queue=4, cpu_share=1.0)
    yield made
    made.close()


async def until_observed(counts: DriftCounts, number: int) -> None:
    async with asyncio.timeout(10):
        while counts.observed + counts.failed < number:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.002)


async def test_what_was_answered_reaches_monitor_and_counters(watched: Watched, feed: DriftFeed) -> None:
    feed.offer([Observed(watched, signals)] * 2)
    await until_observed(watched.counts, 2)
    assert watched.counts.bins["predicted_class"].num_images == 2
    assert watched.counts.bins["brightness"].num_images == 2
    assert watched.monitor.report().num_images == 2


async def test_what_does_not_fit_is_dropped_and_counted(watched: Watched, feed: DriftFeed) -> None:
    feed.offer([Observed(watched, signals)] * 50)
    assert watched.counts.dropped >= 50 - 4 - 1
    await until_observed(watched.counts, 50 - watched.counts.dropped)
    assert watched.counts.observed + watched.counts.dropped == 50


async def test_what_can_not_be_judged_is_counted_and_the_feed_goes_on(watched: Watched, feed: DriftFeed) -> None:
    feed.offer([Observed(watched, no_signals)])
    feed.offer([Observed(watched, signals)])
    await until_observed(watched.counts, 2)
    assert (watched.counts.failed, watched.counts.observed) == (1, 1)


def test_closing_does_not_wait_for_the_share_of_the_processor(watched: Watched) -> None:
    feed = DriftFeed(max_queue=4, cpu_share=1e-9)
    feed.offer([Observed(watched, signals)] * 4)
    while not watched.counts.observed:
        time.sleep(0.001)
    feed.close()
    assert watched.counts.observed == 1, "the others would have had their turn in years"
