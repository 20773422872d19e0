"""Streams of a real server whose model is replaced, or which is told to stop, while they run."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from registry.local_store import LocalStore
from tests.e2e.conftest import RunningServer, start_server
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
NUM_TOKENS = 1500
ASKED = {"model": "slow", "prompt": "Return", "max_tokens": NUM_TOKENS, "stream": True, "ignore_end": True, "seed": 1}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Two versions of `slow`, which write different texts; the first is the champion of the server."""
    made = LocalStore(tmp_path / "store")
    for seed in (0, 1):
        folder = tmp_path / f"slow-{seed}"
        build_language_package(folder, name="slow", seed=seed, context=2048, width=256, depth=4, slots=(2,))
        made.publish(folder)
    made.set_alias("slow", "champion", "1")
    return made


@pytest.fixture
def server(store: LocalStore, tmp_path: Path) -> Iterator[RunningServer]:
    with start_server(tmp_path, [], POLL_INTERVAL_S="0.1", DRAIN_TIMEOUT_S="60") as started:
        yield started


@contextmanager
def stream(server: RunningServer) -> Iterator[Iterator[str]]:
    """The texts of a stream; begun when there is a first one. Fails unless it ends as streams should."""
    with httpx.stream("POST", f"http://{server.http}/v1/completions", json=ASKED, timeout=60) as answer:
        assert answer.status_code == 200
        yield texts(answer.iter_lines())


def texts(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "data: [DONE]":
            return
        if line:
            chunk = json.loads(line.removeprefix("data: "))
            assert "error" not in chunk, chunk
            yield chunk["choices"][0]["text"]
    pytest.fail("the stream was cut off")


def eventually(condition: Callable[[], bool]) -> None:
    expires_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < expires_at, "it did not happen"
        time.sleep(0.02)


def faults(server: RunningServer) -> list[object]:
    return [line for line in server.errors if str(line["level"]).lower() == "error"]


def version(server: RunningServer) -> str:
    return httpx.get(f"http://{server.http}/v2/models/slow", timeout=60).json()["versions"][0]


def test_a_swap_lets_streams_end_and_gives_new_ones_to_the_new_version(
    server: RunningServer, store: LocalStore
) -> None:
    with stream(server) as alone:
        expected = "".join(alone)
    with stream(server) as old:
        begun = next(old)
        store.set_alias("slow", "champion", "2")
        eventually(lambda: version(server) == "2")
        with stream(server) as new:
            replaced = "".join(new)
        assert begun + "".join(old) == expected
    assert replaced != expected
    assert not faults(server)


def test_a_server_that_is_told_to_stop_writes_its_answers_to_the_end(server: RunningServer) -> None:
    with stream(server) as alone:
        expected = "".join(alone)
    with stream(server) as last:
        begun = next(last)
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: any("stopping" in line["message"] for line in server.errors))
        assert begun + "".join(last) == expected
    eventually(lambda: any(line["message"] == "stopped" for line in server.errors))
    assert not faults(server)
