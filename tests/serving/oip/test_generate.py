from __future__ import annotations

import json
from time import monotonic
from typing import Any

import pytest

from serving.answer import Answer
from serving.deadline import Arrival
from serving.event_stream import EventStream
from serving.oip.generate import GENERATE, GENERATE_STREAM, answer_oip_generate
from tasks.errors import BadInput, DeadlineExceeded, TidegateError, Unsupported
from tests.serving.protocol_server import ProtocolServer

GREEDY = {"max_tokens": 6, "temperature": 0}


async def ask(server: ProtocolServer, call: str, **request: Any) -> Answer | EventStream:
    body = json.dumps({"text_input": "Return", "parameters": GREEDY} | request).encode()
    return await answer_oip_generate(server.host.get("tiny"), call, body, Arrival(monotonic(), None))


async def whole(server: ProtocolServer, **request: Any) -> Any:
    answer = await ask(server, GENERATE, **request)
    assert isinstance(answer, Answer)
    return json.loads(answer.body)


async def pieces(server: ProtocolServer, **request: Any) -> list[Any]:
    stream = await ask(server, GENERATE_STREAM, **request)
    assert isinstance(stream, EventStream)
    return [json.loads(event.removeprefix(b"data: ")) async for event in stream.events]


async def test_a_text_goes_on_at_once_and_in_pieces(texts: ProtocolServer) -> None:
    answer, told = await whole(texts), await pieces(texts)
    assert answer.keys() == {"model_name", "model_version", "text_output"}
    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1")
    assert "".join(piece["text_output"] for piece in told) == answer["text_output"]
    assert [piece.get("finish_reason") for piece in told] == [None] * (len(told) - 1) + ["length"]
    assert all("choice" not in piece and "id" not in piece for piece in told)


async def test_the_id_comes_back_with_everything(texts: ProtocolServer) -> None:
    assert (await whole(texts, id="7"))["id"] == "7"
    assert {piece["id"] for piece in await pieces(texts, id="7")} == {"7"}


async def test_several_answers_are_a_list_and_pieces_say_to_which_they_belong(texts: ProtocolServer) -> None:
    parameters = {"max_tokens": 8, "seed": 1, "n": 2}
    answer, told = await whole(texts, parameters=parameters), await pieces(texts, parameters=parameters)
    joined = ["".join(one["text_output"] for one in told if one["choice"] == choice) for choice in (0, 1)]
    assert sorted(answer["text_output"]) == sorted(joined)
    assert len({one["choice"] for one in told if "finish_reason" in one}) == 2


async def test_what_belongs_to_the_protocol_is_no_parameter_of_generation(texts: ProtocolServer) -> None:
    notes = {"stream": True, "triton_note": 1, "sequence_id": 7, "priority": 1, "timeout": 10**8}
    assert await whole(texts, parameters=GREEDY | notes) == await whole(texts)


async def test_a_request_may_say_how_long_it_may_take(texts: ProtocolServer) -> None:
    for call in (GENERATE, GENERATE_STREAM):
        with pytest.raises(DeadlineExceeded):
            await ask(texts, call, parameters={"timeout": 1})


@pytest.mark.parametrize("call", [GENERATE, GENERATE_STREAM])
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"text_input": ""}, "empty"),
        ({"text_input": None}, "text_input"),
        ({"parameters": {"nonsense": 1}}, "known: max_tokens"),
        ({"parameters": {"temperature": 9}}, "temperature"),
        ({"parameters": []}, "parameters"),
        ({"prompt": "a"}, "prompt"),
        ({"id": 7}, "id"),
    ],
)
async def test_what_can_not_be_right_is_refused_before_anything_is_streamed(
    texts: ProtocolServer, call: str, request_: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        await ask(texts, call, **request_)


async def test_a_stream_that_is_closed_frees_its_slot(texts: ProtocolServer) -> None:
    stream = await ask(texts, GENERATE_STREAM, parameters={"max_tokens": 60, "ignore_end": True})
    assert isinstance(stream, EventStream)
    await anext(stream.events)
    stream.close()
    model: Any = texts.host.get("tiny")
    assert model.num_in_flight == 0
    assert model.generation.num_cancelled == 1


async def test_a_model_of_another_kind_says_where_it_is_asked(protocol: ProtocolServer) -> None:
    with pytest.raises(Unsupported, match="/v1/models/colours/classify"):
        await answer_oip_generate(protocol.host.get("colours"), GENERATE, b"no JSON", Arrival(monotonic(), None))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"text_input": "\xff"}', b"[" * 100_000])
async def test_what_is_no_request_is_bad_input(texts: ProtocolServer, body: bytes) -> None:
    with pytest.raises(TidegateError) as raised:
        await answer_oip_generate(texts.host.get("tiny"), GENERATE, body, Arrival(monotonic(), None))
    assert isinstance(raised.value, BadInput)
