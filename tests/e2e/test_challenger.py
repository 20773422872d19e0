"""A challenger beside the champion of a real server, under load, while aliases move."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from prometheus_client.parser import text_string_to_metric_families

from registry.local_store import LocalStore
from tests.e2e.conftest import RunningServer, start_server, unharmed
from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
SHARE = 0.3
NUM_SIGMAS = 4.5
TIMEOUT_S = 300.0
"""For hundreds of requests, on a machine that has other things to do."""
PAYLOADS = [encoded(seed) for seed in range(8)]
CLASSIFY = "/v1/models/colours/classify"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Version 1, which the server finds, and versions 2 and 3: one says nearly the same, one always "light"."""
    made = LocalStore(tmp_path / "server" / "store")
    for number, shift in enumerate((0.0, 0.05, 40.0)):
        made.publish(build_package(tmp_path / f"package-{number}", Handmade(shift=shift)).folder)
    made.set_alias("colours", "champion", "1")
    return made


@pytest.fixture
def server(store: LocalStore, tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"CHALLENGER_SHARE": str(SHARE), "SHADOW_SHARE": "1", "POLL_INTERVAL_S": "0.1", "RUNTIME_THREADS": "1"}
    with start_server(tmp_path / "server", [], **settings) as started, unharmed(started):
        yield started


def wait_for(condition: Callable[[], object]) -> None:
    expires_at = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < expires_at, "it took too long"
        time.sleep(0.05)


def ready_versions(server: RunningServer) -> set[str]:
    index = httpx.post(f"http://{server.http}/v2/repository/index", trust_env=False, timeout=60).json()
    return {line["version"] for line in index if line["state"] == "READY"}


def scrape(server: RunningServer) -> dict[str, float]:
    """Sample → value; labels as `name:value` in the order of their names."""
    text = httpx.get(f"http://{server.metrics}/metrics", trust_env=False, timeout=60).text
    return {
        " ".join([sample.name, *(f"{name}:{value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Load:
    """Clients over HTTP and gRPC that ask until they are told to stop. `seen`: versions, and whatever went wrong."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.seen: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask_http) for _ in range(4)]
        self._threads += [threading.Thread(target=self._ask_grpc) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        return self.seen

    def _note(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def _ask_http(self) -> None:
        with httpx.Client(base_url=f"http://{self._server.http}", trust_env=False, timeout=30) as http:
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    answer = http.post(CLASSIFY, content=PAYLOADS[number % len(PAYLOADS)])
                except httpx.TransportError as error:
                    self._note(f"lost: {error!r}")
                    return
                is_right = (
                    answer.status_code == 200 and answer.json()["model_version"] == answer.headers["x-model-version"]
                )
                self._note(answer.headers["x-model-version"] if is_right else f"{answer.status_code}: {answer.text}")

    def _ask_grpc(self) -> None:
        tensor = triton_grpc.InferInput("encoded_image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array(PAYLOADS[:1], object))
        with triton_grpc.InferenceServerClient(self._server.grpc) as client:
            while not self._stop.is_set():
                try:
                    self._note(client.infer("colours", [tensor]).get_response().model_version)
                except Exception as error:
                    self._note(f"lost: {error!r}")
                    return


@contextmanager
def load(server: RunningServer) -> Iterator[Load]:
    running = Load(server)
    try:
        yield running
    finally:
        running.stop()


def test_the_challenger_gets_its_share_and_is_compared_with_the_rest(server: RunningServer, store: LocalStore) -> None:
    store.set_alias("colours", "challenger", "3")
    wait_for(lambda: ready_versions(server) == {"1", "3"})
    with load(server) as running:
        wait_for(lambda: running.seen.total() > 1500)
        seen = running.stop()
    assert seen.keys() == {"1", "3"}
    spread = NUM_SIGMAS * sqrt(SHARE * (1 - SHARE) * seen.total())
    assert abs(seen["3"] - SHARE * seen.total()) < spread

    labels = "challenger:3 champion:1 model:colours"
    copied = f"tidegate_shadow_copies_total {labels} outcome:"
    wait_for(lambda: sum(value for name, value in scrape(server).items() if name.startswith(copied)) == seen["1"])
    numbers = scrape(server)
    compared = numbers[f"{copied}compared"]
    assert compared > 0
    assert numbers[f"tidegate_shadow_agreement_count {labels}"] == compared
    assert 0 < numbers[f"tidegate_shadow_agreement_sum {labels}"] < compared
    for who in ("champion", "challenger"):
        assert numbers[f"tidegate_shadow_seconds_count answered_by:{who} {labels}"] == compared
    assert numbers["tidegate_canary_requests_total model:colours outcome:answered version:3"] == seen["3"]
    requests = "tidegate_requests_total code:200 model:colours protocol:http version:"
    grpc = "tidegate_requests_total code:OK model:colours protocol:grpc version:"
    for version in "13":  # copies are nobody's requests
        assert numbers[f"{requests}{version}"] + numbers[f"{grpc}{version}"] == seen[version]


def test_the_same_id_meets_the_same_version_again_over_every_protocol(server: RunningServer, store: LocalStore) -> None:
    store.set_alias("colours", "challenger", "3")
    wait_for(lambda: ready_versions(server) == {"1", "3"})
    tensor = triton_grpc.InferInput("encoded_image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array(PAYLOADS[:1], object))
    met = set()
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        for request_id in (f"order-{number}" for number in range(20)):
            headers = {"x-request-id": request_id}
            answers = [
                httpx.post(
                    f"http://{server.http}{CLASSIFY}", content=PAYLOADS[0], headers=headers, trust_env=False, timeout=60
                )
                for _ in range(2)
            ]
            over_grpc = client.infer("colours", [tensor], request_id=request_id).get_response().model_version
            (version,) = {over_grpc, *(answer.headers["x-model-version"] for answer in answers)}
            met.add(version)
    assert met == {"1", "3"}


def test_aliases_move_under_load_without_a_lost_request(server: RunningServer, store: LocalStore) -> None:
    with load(server) as running:
        for challenger in ("3", "2"):
            store.set_alias("colours", "challenger", challenger)
            met = running.seen[challenger]
            wait_for(lambda challenger=challenger, met=met: running.seen[challenger] > met + 20)
        store.set_alias("colours", "champion", "2")  # promoted
        wait_for(lambda: ready_versions(server) == {"2"})
        store.set_alias("colours", "champion", "1")  # and taken back
        wait_for(lambda: ready_versions(server) == {"1", "2"})
        store.delete_alias("colours", "challenger")
        wait_for(lambda: ready_versions(server) == {"1"})
        met = running.seen["1"]
        wait_for(lambda: running.seen["1"] > met + 20)
        seen = running.stop()
    assert seen.keys() == {"1", "2", "3"}
    assert not any(value for name, value in scrape(server).items() if "canary" in name and "outcome:failed" in name)
