"""The runtime against a Triton in this process; the real one is in tests/e2e/test_triton.py."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import grpc
import numpy as np
import pytest

from registry.package import ModelPackage
from serving.batch_plan import BatchPlan
from serving.batch_queue import QueuedItem
from serving.engine_choice import EngineChoice
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.triton_client import SlowTriton, TritonClient
from serving.runtimes.triton_memory import MessageInputs, SharedInputs
from serving.runtimes.triton_origin import Origin
from serving.runtimes.triton_remote import TritonRemote
from serving.slots import BatchRunner
from serving.tracing.trace import CURRENT_TRACE, Trace
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TidegateError, Unsupported
from tasks.task import TensorSpec
from tests.serving.runtimes.fake_triton import MODEL, FakeTriton, listening

OURS, OTHER = Origin(digest="a" * 64, variant="int8"), Origin(digest="b" * 64, variant="int8")
SLOTS = 12
X = np.array([[1, 2], [3, 4]], np.float32)


def connect(port: int, transport: Literal["grpc", "shared_memory"] = "grpc") -> TritonRemote:
    client = TritonClient(f"127.0.0.1:{port}", SLOTS)
    inputs = SharedInputs(client, SLOTS) if transport == "shared_memory" else MessageInputs()
    try:
        return TritonRemote(client, inputs, MODEL, OURS, SLOTS)
    except BaseException:
        client.close()
        raise


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.runtimes.triton_remote.LOOK_INTERVAL_S", 0.05)


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton(v3=OTHER, v7=OURS)


@pytest.fixture(params=["grpc", "shared_memory"])
def remote(triton: FakeTriton, request: pytest.FixtureRequest) -> Iterator[TritonRemote]:
    with listening(triton) as port:
        made = connect(port, request.param)
        yield made
        made.close()


def until(condition: Callable[[], bool]) -> None:
    expires_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < expires_at, "it took too long"
        time.sleep(0.005)


def test_the_version_made_from_the_package_is_asked(remote: TritonRemote, triton: FakeTriton) -> None:
    assert [spec.name for spec in remote.outputs] == ["y", "z"]
    assert remote.inputs == (TensorSpec(name="x", dtype="FP32", shape=(-1, 2)),)
    answer = remote.run({"x": X[:, ::-1]})
    np.testing.assert_array_equal(answer["y"], 2 * X[:, ::-1])
    np.testing.assert_array_equal(answer["z"], -X[:, ::-1])
    assert list(remote.run({"x": X}, ["z"])) == ["z"]
    assert {request.model_version for request in triton.seen} == {"7"}


def test_as_many_requests_as_slots_are_in_flight_over_several_connections(
    remote: TritonRemote, triton: FakeTriton
) -> None:
    triton.gate.clear()
    with ThreadPoolExecutor(SLOTS) as pool:
        answers = [pool.submit(remote.run_until, {"x": X + index}, math.inf) for index in range(SLOTS)]
        until(lambda: triton.num_waiting == SLOTS)
        triton.gate.set()
        for index, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result()["y"], 2 * (X + index))
    assert len(triton.peers) == 2


def test_tensors_that_grow_and_shrink_arrive_whole(remote: TritonRemote) -> None:
    for num_rows in (3, 600_000, 1, 20_000):
        x = np.arange(2 * num_rows, dtype=np.float32).reshape(num_rows, 2)
        np.testing.assert_array_equal(remote.run({"x": x})["y"], 2 * x)


def test_a_deadline_ends_the_request_here_and_there(remote: TritonRemote, triton: FakeTriton) -> None:
    triton.gate.clear()
    with pytest.raises(DeadlineExceeded):
        remote.run_until({"x": X}, time.monotonic() + 0.05)
    assert triton.num_waiting == 0
    triton.gate.set()
    num_seen = len(triton.seen)
    with pytest.raises(DeadlineExceeded):
        remote.run_until({"x": X}, time.monotonic())
    assert len(triton.seen) == num_seen, "what is too late already is not sent"
    assert remote.ailment == ""
    np.testing.assert_array_equal(remote.run({"x": X})["y"], 2 * X)


def test_a_full_queue_there_is_an_overload_and_no_ailment(remote: TritonRemote, triton: FakeTriton) -> None:
    triton.refusal = grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"
    with pytest.raises(Overloaded):
        remote.run({"x": X})
    assert remote.ailment == ""


def test_one_refused_batch_leaves_the_model_ready(remote: TritonRemote, triton: FakeTriton) -> None:
    triton.refusal = grpc.StatusCode.INTERNAL, "out of memory"
    with pytest.raises(NotReady, match="out of memory"):
        remote.run({"x": X})
    triton.refusal = None
    np.testing.assert_array_equal(remote.run({"x": X})["y"], 2 * X)


def test_an_answer_that_lacks_an_output_is_no_answer(remote: TritonRemote, triton: FakeTriton) -> None:
    triton.withheld = "z"
    with pytest.raises(NotReady, match="without output 'z'"):
        remote.run({"x": X})


def test_nothing_can_be_kept_there(remote: TritonRemote) -> None:
    with pytest.raises(Unsupported):
        remote.allocate(remote.inputs[0])
    with pytest.raises(Unsupported):
        remote.bind({}, {})
    with pytest.raises(Unsupported):
        remote.run({"x": X}, {})


@pytest.mark.parametrize("transport", ["grpc", "shared_memory"])
def test_it_is_used_again_once_it_is_back(triton: FakeTriton, transport: Literal["grpc", "shared_memory"]) -> None:
    with listening(triton) as port:
        remote = connect(port, transport)
        remote.run({"x": X})
    until(lambda: remote.ailment == "Triton does not answer")
    with pytest.raises(NotReady, match="Triton does not answer"):
        remote.run({"x": X})
    moved = FakeTriton(v9=OURS)
    with listening(moved, port):
        until(lambda: remote.ailment == "")
        np.testing.assert_array_equal(remote.run({"x": X})["y"], 2 * X)
        assert moved.seen[0].model_version == "9"
        moved.origins = {"9": OTHER}
        until(lambda: remote.ailment != "")
        with pytest.raises(NotReady, match=r"made from variant 'int8' of package aaaa.*; it has 9 .*bbbb"):
            remote.run({"x": X})
    remote.close()


def test_one_that_hangs_is_as_good_as_away(
    remote: TritonRemote, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.runtimes.triton_client.LOOK_TIMEOUT_S", 0.05)
    triton.desk.clear()
    until(lambda: remote.ailment == "Triton does not answer")
    monkeypatch.undo()
    triton.desk.set()
    until(lambda: remote.ailment == "")
    np.testing.assert_array_equal(remote.run({"x": X})["y"], 2 * X)


def test_one_that_is_slow_once_is_still_there(
    remote: TritonRemote, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    find = remote._find_version

    def slow_once() -> str:
        looks.append(remote.ailment)
        if len(looks) == 1:
            raise SlowTriton("Triton does not answer")
        return find()

    monkeypatch.setattr(remote, "_find_version", slow_once)
    until(lambda: len(looks) > 3)
    assert set(looks) == {""}


def test_what_was_made_from_another_package_is_refused(triton: FakeTriton) -> None:
    triton.origins = {"3": OTHER, "7": Origin(digest=OURS.digest, variant="fp32")}
    with listening(triton) as port, pytest.raises(NotReady, match=r"3 \(variant 'int8' of .*7 \(variant 'fp32' of"):
        connect(port)


def test_a_model_that_is_not_there_is_refused() -> None:
    with listening(FakeTriton()) as port:
        with pytest.raises(NotReady, match=r"it has none\. .*tidegate export --triton"):
            connect(port)
        with pytest.raises(NotReady, match="unknown model"):
            TritonRemote(TritonClient(f"127.0.0.1:{port}", 1), MessageInputs(), "elsewhere", OURS, 1)


def test_nothing_is_left_in_shared_memory(triton: FakeTriton) -> None:
    with listening(triton) as port:
        remote = connect(port, "shared_memory")
        remote.run({"x": X})
        assert len(triton.regions) == 1
        assert not list(Path("/dev/shm").glob(f"{next(iter(triton.regions))}*"))
        remote.close()
        assert not triton.regions


def test_a_triton_that_does_not_see_this_memory_is_told_from_one_that_is_away(
    triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(triton) as port:
        remote = connect(port, "shared_memory")
        monkeypatch.setattr("tests.serving.runtimes.fake_triton.FOLDER", "/nowhere")
        with pytest.raises(NotReady, match=r"Unable to open shared memory .*grpc for any other"):
            remote.run({"x": X})
        remote.close()


def test_closing_does_not_wait_for_what_is_in_flight_which_still_gets_its_answer(
    remote: TritonRemote, triton: FakeTriton
) -> None:
    triton.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(remote.run, {"x": X})
        until(lambda: triton.num_waiting == 1)
        remote.close()
        with pytest.raises(NotReady, match="closed"):
            remote.run({"x": X})
        assert not answer.done()
        triton.gate.set()
        np.testing.assert_array_equal(answer.result()["y"], 2 * X)
    until(lambda: not triton.regions)


def test_shared_memory_that_is_full_refuses_a_request_and_no_more(
    triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it found out by writing there, the process would end."""
    with listening(triton) as port:
        remote = connect(port, "shared_memory")
        before = set(Path("/dev/shm").iterdir())
        monkeypatch.setattr("serving.runtimes.triton_memory.MIN_BYTES", 2**60)
        with pytest.raises(NotReady, match=r"shared memory can not be had .*--shm-size"):
            remote.run({"x": X})
        monkeypatch.undo()
        assert not {file for file in set(Path("/dev/shm").iterdir()) - before if file.name.startswith("tidegate-")}
        np.testing.assert_array_equal(remote.run({"x": X})["y"], 2 * X)
        remote.close()


def test_closing_asks_a_triton_that_hangs_once_and_not_for_every_region(
    triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(triton) as port:
        remote = connect(port, "shared_memory")
        triton.gate.clear()
        with ThreadPoolExecutor(SLOTS) as pool:
            answers = [pool.submit(remote.run, {"x": X}) for _ in range(SLOTS)]
            until(lambda: triton.num_waiting == SLOTS)
            triton.gate.set()
        assert len(answers) == len(triton.regions) == SLOTS
        monkeypatch.setattr("serving.runtimes.triton_client.LOOK_TIMEOUT_S", 0.05)
        triton.desk.clear()
        remote.close()
        assert triton.num_unregistered == 1
        triton.desk.set()


def test_what_generates_is_not_looked_for_there(package: ModelPackage) -> None:
    engine = EngineChoice("triton", triton_url="127.0.0.1:1")
    with pytest.raises(Unsupported, match="stages that are batched, no others"):
        open_runtime(package, "fp32", ONE_THREAD, "decoder", engine)
    with pytest.raises(NotReady, match="Triton does not answer"):
        open_runtime(package, "fp32", ONE_THREAD, engine=engine)


async def test_the_trace_of_a_request_goes_on_there(remote: TritonRemote, triton: FakeTriton) -> None:
    runner = BatchRunner(remote, BatchPlan({1: 0.001, 4: 0.001}))
    followed = Trace("0af7651916cd43dd8448eb211c80319c", "", "v1 classify", 0.0)

    def item(trace: Trace | None) -> QueuedItem:
        CURRENT_TRACE.set(trace)
        return QueuedItem({"x": X}, len(X), math.inf, asyncio.get_running_loop().create_future())

    for items in ([item(None), item(followed)], [item(None)]):
        executed = runner.run(items, runner.new_buffers())
        assert not isinstance(executed.outputs, TidegateError)
    assert triton.traces == [f"00-0af7651916cd43dd8448eb211c80319c-{followed.span_id}-01", ""]
