"""The Open Inference Protocol's generate extension: text in, text out, at once or as events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from serving.answer import Answer, json_answer
from serving.deadline import Arrival
from serving.event_stream import EventStream, event
from serving.json_fields import read_json, read_values
from serving.oip.parameters import RESERVED, RESERVED_PREFIX, deadline_of
from serving.prompted import Prompted, check_takes_text, prompt_text
from serving.served import Served

GENERATE, GENERATE_STREAM = "generate", "generate_stream"


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stream` may stand among the parameters, where Triton's language models have it; the route decides."""

    text_input: str
    id: str = ""
    parameters: dict[str, msgspec.Raw] = {}


async def answer_oip_generate(model: Served, call: str, body: bytes, arrival: Arrival) -> Answer | EventStream:
    """POST …/generate or …/generate_stream. Raises TidegateError."""
    check_takes_text(model)
    request = read_json(body, GenerateRequest, "the body must be a JSON object of text_input, parameters and id")
    parameters = read_values(request.parameters)
    values = {
        name: value
        for name, value in parameters.items()
        if name not in RESERVED and not name.startswith(RESERVED_PREFIX) and name != "stream"
    }
    prompted = await prompt_text(model, request.text_input, values, deadline_of(parameters, arrival))
    if call == GENERATE_STREAM:
        await prompted.group.begin()
        return EventStream(stream_events(prompted, request.id), prompted.cancel)
    outputs = prompted.wire_outputs(await prompted.predict())
    texts = [text.decode() for text in outputs["text_output"]]
    return json_answer(response(prompted, request.id, text_output=texts[0] if len(texts) == 1 else texts))


async def stream_events(prompted: Prompted, request_id: str) -> AsyncIterator[bytes]:
    """A response for each piece of text. Where several answers were asked for each says which it belongs to."""
    async for delta in prompted:
        if delta.text or delta.finished:
            fields: dict[str, Any] = {"text_output": delta.text}
            if prompted.params.n > 1:
                fields["choice"] = delta.choice
            if delta.finished:
                fields["finish_reason"] = delta.finished.finish_reason
            yield event(response(prompted, request_id, **fields))


def response(prompted: Prompted, request_id: str, **fields: Any) -> dict[str, Any]:
    told = {"id": request_id} if request_id else {}
    return {**told, "model_name": prompted.model.name, "model_version": prompted.model.version, **fields}
