"""Over a real connection, by the client that speaks the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2

from serving.oip.grpc import add_services
from serving.oip.grpc_inference import InferenceCalls
from serving.oip.grpc_stream import InferenceStreams
from serving.tracing.tracing import NO_TRACING, Tracing
from tests.serving.host_server import until
from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import IMAGES, bytes_tensor

GREEDY = {"max_tokens": 6, "temperature": 0.0}
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


@asynccontextmanager
async def listening(server: ProtocolServer, tracing: Tracing = NO_TRACING) -> AsyncIterator[str]:
    """The address of the same models over gRPC."""
    services = grpc.aio.server()
    add_services(services, server.host, server.config, server.metrics, server.regions, server.access, tracing)
    port = services.add_insecure_port("127.0.0.1:0")
    await services.start()
    yield f"127.0.0.1:{port}"
    await services.stop(None)


def prompt(*texts: str, **request: Any) -> dict[str, Any]:
    tensor = triton.InferInput("text_input", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode() for text in texts], object))
    return {"model_name": "tiny", "inputs": [tensor], "parameters": GREEDY} | request


def image(number: int, **request: Any) -> dict[str, Any]:
    tensor = triton.InferInput("image", list(IMAGES.shape), "UINT8")
    tensor.set_data_from_numpy(IMAGES)
    return {"model_name": "colours", "inputs": [tensor], "request_id": str(number)} | request


async def stream(server: ProtocolServer, *requests: Mapping[str, Any]) -> list[Any]:
    """Every response message to one stream of requests; in place of one, the error that it tells."""

    async def all_of_them() -> AsyncIterator[Mapping[str, Any]]:
        for one in requests:
            yield one

    async with listening(server) as address, triton.InferenceServerClient(address) as client:
        return [
            str(error.message()) if error else result.get_response()
            async for result, error in client.stream_infer(all_of_them())
        ]


async def stream_of_bytes(server: ProtocolServer, *messages: bytes) -> list[Any]:
    """What is answered to messages that the client above would not send."""
    async with listening(server) as address, grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(STREAM, response_deserializer=service_pb2.ModelStreamInferResponse.FromString)
        return [one async for one in call(iter(messages))]


def text_of(message: Any) -> str:
    """A piece of text; empty where a message has no outputs."""
    if not message.outputs:
        return ""
    tensor = triton.InferResult(message).as_numpy("text_output")
    return b"".join(tensor).decode()


def is_final(message: Any) -> bool:
    return bool(message.parameters["triton_final_response"].bool_param)


async def test_a_text_comes_piece_by_piece_and_its_end_is_marked(texts: ProtocolServer) -> None:
    told = await stream(texts, prompt("Return", request_id="7"))
    unary = await texts.http.post("/v2/models/tiny/generate", json={"text_input": "Return", "parameters": GREEDY})
    assert "".join(map(text_of, told)) == unary.json()["text_output"]
    assert [is_final(one) for one in told] == [False] * (len(told) - 1) + [True]
    assert {(one.id, one.model_name, one.model_version) for one in told} == {("7", "tiny", "1")}
    assert told[-1].parameters["finish_reason"].string_param == "length"
    assert "choice" not in told[-1].parameters


async def test_the_end_may_be_a_message_of_its_own(texts: ProtocolServer) -> None:
    message = service_pb2.ModelInferRequest(model_name="tiny", raw_input_contents=[bytes_tensor(b"Return")])
    message.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    message.parameters["max_tokens"].int64_param = 6
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    *told, last = [one.infer_response for one in await stream_of_bytes(texts, message.SerializeToString())]
    assert not any(map(is_final, told))
    assert is_final(last)
    assert len(last.outputs) == 0
    assert told[-1].parameters["finish_reason"].string_param == "length"


async def test_several_answers_say_which_they_are_and_end_once(texts: ProtocolServer) -> None:
    told = await stream(texts, prompt("Return", parameters={"n": 2, "seed": 1, "max_tokens": 5}))
    assert {one.parameters["choice"].int64_param for one in told} == {0, 1}
    assert [is_final(one) for one in told].count(True) == 1
    assert is_final(told[-1])


async def test_requests_of_one_stream_are_answered_side_by_side(texts: ProtocolServer) -> None:
    long = prompt("Return", request_id="long", parameters={**GREEDY, "max_tokens": 50, "ignore_end": True})
    told = await stream(texts, long, prompt("Write", request_id="short"))
    order = [one.id for one in told]
    assert order.index("short") < len(order) - 1 - order[::-1].index("long")
    assert order[-1] == "long"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model_name": "nobody"}, "no model 'nobody'"),
        ({"parameters": {"max_tokens": 0}}, "max_tokens"),
        (prompt("a", "b"), "holds one prompt, and 2 were sent"),
        (prompt(""), "empty"),
        ({"outputs": [triton.InferRequestedOutput("logits")]}, "no output 'logits' for a stream of text"),
        ({"timeout": 1}, "deadline"),
    ],
)
async def test_an_error_ends_its_request_and_not_the_stream(
    texts: ProtocolServer, wrong: dict[str, Any], words: str
) -> None:
    told = await stream(texts, prompt("Return", **{"request_id": "wrong"} | wrong), prompt("Write"))
    errors = [one for one in told if isinstance(one, str)]
    assert len(errors) == 1
    assert words in errors[0]
    assert any(is_final(one) for one in told if one is not errors[0])
    scraped = texts.scrape()
    assert 'tidegate_requests_total{code="OK",model="tiny",protocol="grpc",version="1"} 1.0' in scraped


async def test_models_that_answer_at_once_are_answered_in_order(protocol: ProtocolServer) -> None:
    first, error, last = await stream(protocol, image(0), image(1, inputs=[]), image(2))
    assert [(one.id, is_final(one)) for one in (first, last)] == [("0", True), ("2", True)]
    assert "input" in error


async def test_what_is_no_message_is_told_and_the_stream_goes_on(protocol: ProtocolServer) -> None:
    answers = await stream_of_bytes(protocol, b"\xff\xff", b"\xff")
    assert ["not a ModelInferRequest" in one.error_message for one in answers] == [True, True]


async def test_who_leaves_frees_the_slots(texts: ProtocolServer) -> None:
    model: Any = texts.host.get("tiny")
    endless = asyncio.Event()

    async def requests() -> AsyncIterator[Mapping[str, Any]]:
        yield prompt("Return", parameters={**GREEDY, "max_tokens": 60, "ignore_end": True})
        await endless.wait()

    async with listening(texts) as address, triton.InferenceServerClient(address) as client:
        answers = client.stream_infer(requests())
        await anext(aiter(answers))
        answers.cancel()
        await until(lambda: model.num_in_flight == 0)
    assert model.generation.num_cancelled == 1


class Leaving:
    """The context of a client who leaves while the second message is sent to it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def time_remaining(self) -> float | None:
        return None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def write(self, response: Any) -> None:
        if self.sent:
            raise grpc.aio.InternalError("the connection is gone")
        self.sent.append(response)


async def test_a_client_who_leaves_while_it_is_written_to_is_no_fault(
    texts: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls = InferenceCalls(texts.host, texts.config, texts.metrics, texts.regions)
    streams = InferenceStreams(calls, texts.host, texts.regions, texts.access)
    client = Leaving()
    message = service_pb2.ModelInferRequest(model_name="tiny", id="1")
    message.inputs.add(name="text_input", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"a")
    message.parameters["max_tokens"].int64_param = 6

    async def messages() -> AsyncIterator[bytes]:
        yield message.SerializeToString()

    await streams.answer(messages(), client)
    assert len(client.sent) == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    model: Any = texts.host.get("tiny")
    await until(lambda: model.num_in_flight == 0)
