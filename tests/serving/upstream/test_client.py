from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from serving.upstream.client import UpstreamClient, error_of, retry_after
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded, TidegateError, TooLarge
from tests.serving.upstream.canned_server import CannedServer, canned_server


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with canned_server() as server:
        yield server


@pytest.fixture
async def client(server: CannedServer) -> AsyncIterator[UpstreamClient]:
    client = UpstreamClient(server.url)
    yield client
    await client.close()


async def read(client: UpstreamClient) -> list[Any]:
    async with client.stream("completions", "", {}) as events:
        return [one async for one in events]


async def test_a_request_goes_out_with_its_key(server: CannedServer, client: UpstreamClient) -> None:
    server.body = b'{"a": 1}'
    assert await client.post("completions", "secret", {"model": "m"}) == {"a": 1}
    assert await client.get("models", "") == {"a": 1}
    (path, headers, content), (_, without, _) = server.requests
    assert path == "/v1/completions"
    assert headers["authorization"] == "Bearer secret"
    assert json.loads(content) == {"model": "m"}
    assert "authorization" not in without


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
async def test_events_are_read_whatever_stands_between(
    server: CannedServer, client: UpstreamClient, line_end: str
) -> None:
    lines = [": ping", "", "event: x", 'data: {"a": "é"}', "", 'data:{"a": 2}', "", "data: [DONE]", "", "data: more"]
    server.body = line_end.join(lines).encode()
    assert await read(client) == [{"a": "é"}, {"a": 2}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'data: {"a": 1}\n\n', "broke off"),
        (b"", "broke off"),
        (b"data: nonsense\n\n", "no JSON"),
        (b"data: [1]\n\n", "no JSON"),
        (b"data: \xff\n\n", "no JSON"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "out of memory"),
        (b"data: " + b"x" * 5_000_000, "without end"),
    ],
)
async def test_a_stream_that_does_not_come_to_its_end_is_an_error(
    server: CannedServer, client: UpstreamClient, body: bytes, words: str
) -> None:
    server.body = body
    with pytest.raises(NotReady, match=words):
        await read(client)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInput),
        (422, BadInput),
        (413, TooLarge),
        (429, Overloaded),
        (408, DeadlineExceeded),
        (504, DeadlineExceeded),
        (401, NotReady),
        (404, NotReady),
        (500, NotReady),
        (302, NotReady),
    ],
)
async def test_what_its_status_means_here(
    server: CannedServer, client: UpstreamClient, status: int, kind: type[TidegateError]
) -> None:
    server.status, server.body = status, b'{"error": {"message": "because"}}'
    with pytest.raises(kind) as raised:
        await client.post("completions", "secret", {})
    assert type(raised.value) is kind
    assert ("because" in str(raised.value)) == (kind is not NotReady)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b'{"error": 7}', b"\xff" * 100])
def test_any_body_of_an_error_will_do(body: bytes) -> None:
    assert isinstance(error_of(400, {}, body), BadInput)


def test_when_to_come_back_is_taken_over_within_reason() -> None:
    headers = ({}, {"retry-after": "7"}, {"retry-after": "0"}, {"retry-after": "1e9"}, {"retry-after": "tomorrow"})
    assert [retry_after(one) for one in headers] == [1.0, 7.0, 1.0, 3600.0, 1.0]


async def test_nobody_there_is_not_ready_and_its_address_is_not_told() -> None:
    client = UpstreamClient("http://127.0.0.1:9/v1")
    with pytest.raises(NotReady) as raised:
        await client.get("models", "")
    assert "127.0.0.1" not in str(raised.value)
    await client.close()


async def test_an_answer_that_is_no_object_is_an_error(server: CannedServer, client: UpstreamClient) -> None:
    server.body = b"[]"
    with pytest.raises(NotReady):
        await client.post("completions", "", {})
