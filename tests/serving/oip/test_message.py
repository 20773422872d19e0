from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.package import ModelPackage
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.wire import (
    IMAGES,
    INFER,
    LENGTH,
    SIZE,
    image_in_binary,
    image_input,
    in_binary,
)


def with_input(**changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"json": {"inputs": [image_input(**changes)]}}


def with_raw(content: bytes, **headers: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"content": content, "headers": headers}


BAD_REQUESTS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "unknown input": (with_input(name="picture"), "'image' is missing"),
    "another datatype": (with_input(datatype="INT32"), "must be UINT8"),
    "another shape": (with_input(shape=[1, SIZE * SIZE, 3]), "must be UINT8 [-1, 32, 32, 3]"),
    "no batch axis": (with_input(shape=[SIZE, SIZE, 3]), "must be UINT8"),
    "an empty batch": (with_input(shape=[0, SIZE, SIZE, 3], data=[]), "empty batch"),
    "too little data": (with_input(data=[1, 2, 3]), "was promised"),
    "a number out of range": (with_input(data=[999] * (SIZE * SIZE * 3)), "out of bounds"),
    "no data": (lambda: {"json": {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1]}]}}, "no data"),
    "no inputs": (lambda: {"json": {"inputs": []}}, "'image' is missing"),
    "inputs missing": (lambda: {"json": {}}, "inputs"),
    "twice the same input": (lambda: {"json": {"inputs": [image_input(), image_input()]}}, "twice"),
    "one input too many": (lambda: {"json": {"inputs": [image_input(), image_input(name="x")]}}, "no input x"),
    "an unknown output": (lambda: {"json": {"inputs": [image_input()], "outputs": [{"name": "x"}]}}, "no output 'x'"),
    "an unknown parameter": (lambda: {"json": {"inputs": [image_input()], "parameters": {"x": 1}}}, "x"),
    "a bad timeout": (lambda: {"json": {"inputs": [image_input()], "parameters": {"timeout": -1}}}, "timeout"),
    "malformed JSON": (with_raw(b'{"inputs": ['), "JSON"),
    "not a number": (
        with_raw(b'{"inputs": [{"name":"image","datatype":"FP32","shape":[1],"data":[NaN]}]}'),
        "malformed",
    ),
    "deep JSON": (with_raw(b'{"inputs": ' + b"[" * 100_000), "JSON"),
    "not UTF-8": (with_raw(b'{"inputs": "\xff"}'), "JSON"),
    "a header beyond the body": (with_raw(b"{}", **{LENGTH: "3"}), "the body has 2 bytes"),
    "a negative header": (with_raw(b"{}", **{LENGTH: "-1"}), LENGTH),
    "a header that is no number": (with_raw(b"{}", **{LENGTH: "two"}), LENGTH),
    "bytes nobody claims": (lambda: in_binary({"inputs": [image_input()]}, b"rest"), "belong to no tensor"),
    "a raw body that is no picture": (with_raw(b"GIF89a", **{LENGTH: "0"}), "image"),
    "an empty raw body": (with_raw(b"", **{LENGTH: "0"}), "empty"),
    "an unknown encoding": (with_raw(b"{}", **{"Content-Encoding": "br"}), "gzip"),
    "broken gzip": (with_raw(b"{}", **{"Content-Encoding": "gzip"}), "compressed"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_bad_requests_are_told_what_is_wrong(protocol: ProtocolServer, name: str) -> None:
    request, told = BAD_REQUESTS[name]
    answer = await protocol.http.post(INFER, **request())
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["error"]


async def test_binary_sizes_must_add_up(protocol: ProtocolServer) -> None:
    request = image_in_binary(IMAGES)
    for content in (request["content"][:-1], request["content"] + b"x"):
        answer = await protocol.http.post(INFER, **(request | {"content": content}))
        assert answer.status_code == 400


async def test_shared_memory_is_off_unless_it_was_turned_on(protocol: ProtocolServer) -> None:
    answer = await protocol.http.post(
        INFER, json={"inputs": [image_input(parameters={"shared_memory_region": "r"}, data=None)]}
    )
    assert answer.status_code == 501
    assert "shared_memory" in answer.json()["error"]


async def test_a_header_that_is_there_twice_is_refused(protocol: ProtocolServer) -> None:
    answer = await protocol.http.post(INFER, content=b"{}", headers=[(LENGTH, "2"), (LENGTH, "1")])
    assert answer.status_code == 400
    assert "2 times" in answer.json()["error"]


requests = st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["image", "encoded_image", "x"]),
                    "datatype": st.sampled_from(["UINT8", "BYTES", "FP32", ""]),
                    "shape": st.lists(st.integers(-1, 40), max_size=5),
                },
                optional={
                    "data": st.lists(st.integers() | st.text(max_size=3) | st.floats(allow_nan=False), max_size=4),
                    "parameters": st.dictionaries(
                        st.sampled_from(["binary_data_size", "shared_memory_region", "shared_memory_offset"]),
                        st.integers(-2, 2**63) | st.text(max_size=3),
                    ),
                },
            ),
            max_size=2,
        ),
        "outputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["logits", "scores", "y"])},
                optional={"parameters": st.dictionaries(st.sampled_from(["classification"]), st.integers(-1, 9))},
            ),
            max_size=2,
        ),
        "parameters": st.dictionaries(st.sampled_from(["timeout", "top_k", "binary_data_output"]), st.integers(-1, 3)),
        "id": st.text(max_size=3),
    },
)


@pytest.fixture
def loop_server(package: ModelPackage, tmp_path: Path) -> Any:
    """The server on a loop of its own: hypothesis does not mix with asynchronous tests that share fixtures."""
    with asyncio.Runner() as runner:
        context = protocol_server(package.folder, tmp_path)
        made = runner.run(context.__aenter__())

        async def wait_for(awaitable: Any) -> Any:
            return await awaitable

        yield lambda awaitable: runner.run(wait_for(awaitable)), made
        runner.run(context.__aexit__(None, None, None))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80), st.binary(max_size=40))
def test_no_request_is_the_servers_fault(loop_server: Any, head: bytes, tail: bytes) -> None:
    run, protocol = loop_server
    answer = run(protocol.http.post(INFER, content=head + tail, headers={LENGTH: str(len(head))}))
    assert answer.status_code in (200, 400, 404, 413, 429, 501, 503, 504), answer.text
    assert answer.status_code == 200 or answer.json()["error"]


async def test_json_and_what_it_counts_are_limited(package: ModelPackage, tmp_path: Path) -> None:
    """A few bytes of JSON or of empty elements become an object each, so the size of a body says little."""
    named = [image_input(name=f"x{number}", data=[1], shape=[1]) for number in range(257)]
    empty = {"name": "encoded_image", "datatype": "BYTES", "shape": [65_537], "data": [""] * 65_537}
    many = {"name": "encoded_image", "datatype": "BYTES", "shape": [65], "data": [""] * 65}
    asked = ((named, 400, "257 inputs"), ([empty], 413, "65537 BYTES elements"), ([many], 413, "the queue holds 64"))
    async with protocol_server(package.folder, tmp_path, max_json_bytes=300_000) as server:
        for inputs, status, told in asked:
            answer = await server.http.post(INFER, json={"inputs": inputs})
            assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text
        answer = await server.http.post(INFER, content=b" " * 300_001)
        assert answer.status_code == 413
        assert "binary form" in answer.json()["error"]
        assert (await server.http.post(INFER, **image_in_binary(np.zeros((60, 32, 32, 3), np.uint8)))).is_success


@pytest.mark.parametrize("name", ["n" * 100_000, "ü" * 60_000])
async def test_an_error_quotes_only_the_beginning_and_the_end_of_much(protocol: ProtocolServer, name: str) -> None:
    answer = await protocol.http.post(INFER, json={"inputs": [image_input()], "outputs": [{"name": name}]})
    assert answer.status_code == 400
    assert len(answer.content) < 4000
    assert answer.json()["error"].startswith("there is no output")
