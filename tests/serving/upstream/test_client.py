from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from serving.tracing.trace import CURRENT_TRACE, Trace
from serving.upstream.client import MAX_ANSWER_BYTES, UpstreamClient, error_of, retry_after
from serving.upstream.seen import Fields
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
        return [plain(one) async for one in events]


def plain(fields: Fields) -> Any:
    """As a value."""
    return json.loads(msgspec.json.encode(fields))


async def test_a_request_goes_out_with_its_key(server: CannedServer, client: UpstreamClient) -> None:
    server.body = b'{"a": 1}'
    assert plain(await client.post("completions", "secret", {"model": "m"})) == {"a": 1}
    assert plain(await client.get("models", "")) == {"a": 1}
    (path, headers, content), (_, without, _) = server.requests
    assert path == "/v1/completions"
    assert headers["authorization"] == "Bearer secret"
    assert json.loads(content) == {"model": "m"}
    assert "authorization" not in without


async def test_a_request_that_is_followed_says_so(server: CannedServer, client: UpstreamClient) -> None:
    server.body = b"{}"
    await client.get("models", "")
    CURRENT_TRACE.set(trace := Trace("0af7651916cd43dd8448eb211c80319c", "", "v1 completions", 0.0))
    await client.post("completions", "", {})
    (_, before, _), (_, headers, _) = server.requests
    assert "traceparent" not in before
    assert headers["traceparent"] == f"00-0af7651916cd43dd8448eb211c80319c-{trace.span_id}-01"


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
        (b'data: {"error": "a word"}\n\n', "a word"),
        (b'data: {"error": {"message": "' + b"x" * 100_000 + b'"}}\n\n', "does not say why"),
        (b'data: {"a": "\xff"}\n\n', "no JSON"),
        (b'data: {"a": ' + b"[" * 100_000 + b"\n\n", "no JSON"),
        (b"data: " + b"x" * 5_000_000, "an event of more than 4194304 bytes"),
        (b"data: " + b"x" * 5_000_000 + b"\n\ndata: [DONE]\n\n", "an event of more than 4194304 bytes"),
    ],
)
async def test_a_stream_that_does_not_come_to_its_end_is_an_error(
    server: CannedServer, client: UpstreamClient, body: bytes, words: str
) -> None:
    server.body = body
    with pytest.raises(NotReady, match=words):
        await read(client)


@pytest.mark.parametrize("none", ["null", "{}", '""'])
async def test_a_field_for_errors_is_no_error(server: CannedServer, client: UpstreamClient, none: str) -> None:
    server.body = f'data: {{"a": 1, "error": {none}}}\n\ndata: [DONE]\n\n'.encode()
    assert [one["a"] for one in await read(client)] == [1]


async def test_a_large_answer_passes_and_one_beyond_all_measure_does_not(
    server: CannedServer, client: UpstreamClient
) -> None:
    server.body = b'{"a": "' + b"x" * (MAX_ANSWER_BYTES - 9) + b'"}'
    assert len(server.body) == MAX_ANSWER_BYTES
    assert bytes((await client.post("completions", "", {}))["a"]) == server.body[6:-1]
    server.body += b" "
    with pytest.raises(NotReady, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        await client.post("completions", "", {})


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


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'"x"', b'{"error": 7}', b"\xff" * 100, b"[" * 60_000, b" " * 10**6]
)
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
