"""Models on the real Triton: written by the command line, run by its Python backend, asked through our server."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from export.to_triton import TritonOrder, export_triton
from registry.local_store import LocalStore
from serving.engine_choice import EngineChoice, Transport
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.runtime import RemoteRuntime
from tasks.errors import DeadlineExceeded
from tests.e2e.conftest import RunningServer, start_server
from tests.handmade import Handmade, build_package, encoded
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.triton_process import PROGRAM, TritonProcess, triton_process

pytestmark = pytest.mark.e2e
PICTURES = [encoded(seed) for seed in range(8)]
TIMEOUT_S = 60.0
PYTHON_BACKEND = TritonOrder(backend="python")
TRANSPORTS = ("grpc", "shared_memory")


@dataclass(frozen=True)
class Site:
    """A store, what was exported from it, a Triton that runs it, and a server for each way to reach that."""

    store: LocalStore
    repository: Path
    triton: TritonProcess
    servers: dict[str, RunningServer]


def export(store: LocalStore, reference: str, repository: Path) -> None:
    """As a user does it."""
    options = ["--triton", str(repository), "--backend", "python", "--store", str(store.root)]
    command = [sys.executable, "-m", "tidegate", "export", reference, *options]
    subprocess.run(command, check=True, capture_output=True, cwd=repository.parent)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]) -> Iterator[Site]:
    program, folder = require_tool(str(PROGRAM)), tmp_path_factory.mktemp("triton")
    store, repository = LocalStore(folder / "store"), folder / "repository"
    for build in (build_package, build_detector, build_segmenter):
        package = build(folder / build.__name__)
        published = store.publish(package.folder)
        store.set_alias(published.name, "champion", published.version)
        if build is not build_package:
            export_triton(package, published.version, repository, PYTHON_BACKEND)
    export(store, "colours", repository)
    with triton_process(program, folder) as triton, ExitStack() as servers:
        triton.start(repository)
        settings = {"ENGINE": "triton", "TRITON_URL": triton.url, "POLL_INTERVAL_S": "0.3"}
        started = {
            way: servers.enter_context(start_server(folder, [], TRITON_TRANSPORT=way, **settings)) for way in TRANSPORTS
        }
        yield Site(store, repository, triton, started)


def ask(server: RunningServer, model: str, verb: str, payload: bytes) -> httpx.Response:
    return httpx.post(f"http://{server.http}/v1/models/{model}/{verb}", content=payload, timeout=TIMEOUT_S)


def answered(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def until(condition: Callable[[], bool]) -> None:
    expires_at = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < expires_at, "it took too long"
        time.sleep(0.05)


def is_ready(server: RunningServer, model: str = "colours") -> bool:
    return httpx.get(f"http://{server.http}/v2/models/{model}/ready", timeout=60).status_code == 200


def nearly(value: Any) -> Any:
    """Numbers to six digits: which rows share a batch may change the last."""
    if isinstance(value, dict):
        return {name: nearly(one) for name, one in value.items()}
    if isinstance(value, list):
        return [nearly(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


@pytest.mark.parametrize("way", TRANSPORTS)
def test_answers_are_those_of_the_embedded_engine(
    site: Site, way: str, server: RunningServer, objects: RunningServer
) -> None:
    for embedded, model, verb in (
        (server, "colours", "classify"),
        (objects, "cells", "detect"),
        (objects, "patches", "segment"),
    ):
        for payload in PICTURES:
            expected, actual = (answered(ask(one, model, verb, payload)) for one in (embedded, site.servers[way]))
            assert nearly(actual) == nearly(expected)


@pytest.mark.parametrize("way", TRANSPORTS)
def test_requests_that_come_together_are_batched_there(site: Site, way: str) -> None:
    expected = [nearly(answered(ask(site.servers[way], "colours", "classify", payload))) for payload in PICTURES]
    url = f"http://{site.servers[way].http}/v1/models/colours/classify"
    with (
        httpx.Client(limits=httpx.Limits(max_connections=32), timeout=TIMEOUT_S) as http,
        ThreadPoolExecutor(32) as pool,
    ):
        expires_at = time.monotonic() + TIMEOUT_S
        while True:
            before = counted(site.triton)
            answers = list(pool.map(lambda index: http.post(url, content=PICTURES[index % 8]), range(64)))
            for index, answer in enumerate(answers):
                assert nearly(answered(answer)) == expected[index % 8]
            num_rows, num_runs = (after - b for after, b in zip(counted(site.triton), before, strict=True))
            assert num_rows == 64, "every picture went there once, and no padding with it"
            if num_runs < num_rows:
                break
            assert time.monotonic() < expires_at, "Triton never had two requests at once"


def counted(triton: TritonProcess) -> tuple[int, int]:
    """Rows that Triton has computed of colours, and in how many runs."""
    with triton_grpc.InferenceServerClient(triton.url) as client:
        (statistics,) = client.get_inference_statistics("colours", "1").model_stats
    return statistics.inference_count, statistics.execution_count


@pytest.mark.parametrize("way", TRANSPORTS)
def test_deadlines_of_some_neither_harm_others_nor_triton(site: Site, way: Transport) -> None:
    """Before 25.04 Triton crashed when calls were given up at the moment of their answer."""
    info = site.store.versions("colours")[0]
    package = site.store.fetch(info, site.repository.parent / "cache")
    engine = EngineChoice("triton", triton_url=site.triton.url, triton_in_flight=16, triton_transport=way)
    remote = open_runtime(package, "fp32", ONE_THREAD, engine=engine)
    embedded = open_runtime(package, "fp32", ONE_THREAD)
    assert isinstance(remote, RemoteRuntime)

    def ask_once(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (int(rng.integers(1, 9)), 32, 32, 3), np.uint8)
        expires_at = time.monotonic() + rng.choice([0.0005, 0.002, 0.01]) if seed % 2 else math.inf
        try:
            answer = remote.run_until({"image": images}, expires_at)
        except DeadlineExceeded:
            assert seed % 2
            return False
        np.testing.assert_allclose(answer["logits"], embedded.run({"image": images})["logits"], atol=1e-4)
        return True

    with ThreadPoolExecutor(16) as pool:
        answered_in_time = list(pool.map(ask_once, range(600)))
    assert all(answered_in_time[::2])
    assert remote.ailment == ""
    remote.close()


def test_a_triton_that_dies_is_noticed_and_used_again_if_it_is_the_same(site: Site, tmp_path: Path) -> None:
    export_triton(build_package(tmp_path / "package", Handmade(shift=3.0)), "1", tmp_path / "other", PYTHON_BACKEND)
    expected = nearly(answered(ask(site.servers["grpc"], "colours", "classify", PICTURES[0])))

    site.triton.stop(signal.SIGKILL)
    for server in site.servers.values():
        until(lambda server=server: not is_ready(server))  # type: ignore[misc]
        refused = ask(server, "colours", "classify", PICTURES[0])
        assert (refused.status_code, refused.json()) == (503, {"error": "Triton does not answer"})
        # Each model looks for itself.
        until(lambda server=server: httpx.get(f"http://{server.http}/v2/health/ready", timeout=60).status_code == 503)  # type: ignore[misc]

    site.triton.start(tmp_path / "other")
    for server in site.servers.values():
        until(lambda server=server: "made from" in ask(server, "colours", "classify", PICTURES[0]).text)  # type: ignore[misc]
        assert not is_ready(server)
    site.triton.stop()

    site.triton.start(site.repository)
    for server in site.servers.values():
        until(lambda server=server: is_ready(server) and is_ready(server, "cells"))  # type: ignore[misc]
        assert nearly(answered(ask(server, "colours", "classify", PICTURES[0]))) == expected


@pytest.mark.parametrize(("shift", "first"), [(1.0, "promoted"), (2.0, "exported")])
def test_a_new_champion_is_served_once_triton_has_it(site: Site, tmp_path: Path, shift: float, first: str) -> None:
    server, seen = site.servers["grpc"], set[tuple[int, str]]()

    def version() -> str:
        answer = ask(server, "colours", "classify", PICTURES[0])
        found = str(answer.json().get("model_version", answer.text))
        seen.add((answer.status_code, found))
        return found

    before = version()
    package = build_package(tmp_path / "package", Handmade(shift=shift))
    published = site.store.publish(package.folder)
    if first == "promoted":
        site.store.set_alias("colours", "champion", published.version)
        for _ in range(20):
            assert version() == before, "Triton does not have the new one yet"
    export_triton(package, published.version, site.repository, PYTHON_BACKEND)
    if first == "exported":
        until(lambda: version() == before and is_loaded(site.triton, published.version))
        site.store.set_alias("colours", "champion", published.version)
    until(lambda: version() == published.version)
    assert seen == {(200, before), (200, published.version)}, "nobody was turned away meanwhile"


def is_loaded(triton: TritonProcess, version: str) -> bool:
    with triton_grpc.InferenceServerClient(triton.url) as client:
        return bool(client.is_model_ready("colours", version))
