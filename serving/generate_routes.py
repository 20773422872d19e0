"""POST /v1/models/{name}/generate and …/caption: a prompt or pictures in, answers with scores out, or events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from serving.answer import Answer, json_answer
from serving.batcher import gather_or_cancel
from serving.deadline import Deadline
from serving.event_stream import EventStream, event
from serving.json_fields import read_fields, read_json, read_values
from serving.multipart import Form
from serving.prompted import Prompted, prompt_picture, prompt_text
from serving.served import Served
from tasks.errors import BadInput
from tasks.task import Prediction

STREAM = "stream"
FALSE = msgspec.Raw(b"false")
FLAGS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


async def answer_generate(model: Served, body: bytes, deadline: Deadline) -> Answer | EventStream:
    """`{"prompt": …}`, any parameters of generation beside it, and `stream`. Raises TidegateError."""
    fields = read_fields(body, '{"prompt": "Once"}')
    if "prompt" not in fields:
        raise BadInput('prompt is missing; send {"prompt": "Once"}')
    text = read_json(bytes(fields.pop("prompt")), str, "prompt must be a text")
    is_stream = read_json(bytes(fields.pop(STREAM, FALSE)), bool, "stream must be true or false")
    given = read_values(fields)
    prompted = await prompt_text(model, text, given, deadline)
    return await begin_stream(prompted) if is_stream else predictions_answer(model, [await prompted.predict()])


async def answer_caption(
    model: Served, form: Form, query: Mapping[str, str], deadline: Deadline
) -> Answer | EventStream:
    """One picture or several; parameters from query and form. Raises TidegateError."""
    values = {**query, **form.fields}
    told = values.pop(STREAM, "false")
    if told.lower() not in FLAGS:
        raise BadInput(f"stream must be true or false, got {told[:40]!r}")
    if not FLAGS[told.lower()]:
        return predictions_answer(
            model,
            await gather_or_cancel(
                [caption(model, file, values, deadline, index) for index, file in enumerate(form.files)]
            ),
        )
    if len(form.files) > 1:
        raise BadInput(f"a stream is about one picture, and {len(form.files)} were sent: send each in its own request")
    return await begin_stream(await prompt_picture(model, form.files[0], values, deadline))


async def caption(
    model: Served, payload: bytes, values: Mapping[str, str], deadline: Deadline, index: int
) -> Prediction:
    """Of one picture, the request's `index`th."""
    prompted = await prompt_picture(model, payload, values, deadline, index)
    return await prompted.predict()


def predictions_answer(model: Served, predictions: list[Prediction]) -> Answer:
    return json_answer({"model_name": model.name, "model_version": model.version, "predictions": predictions})


async def begin_stream(prompted: Prompted) -> EventStream:
    """What can go wrong before the first token goes wrong here."""
    await prompted.group.begin()
    return EventStream(stream_events(prompted), prompted.cancel)


async def stream_events(prompted: Prompted) -> AsyncIterator[bytes]:
    """`{"choice": 0, "text": "…"}` as text comes; at the end what an answer without a stream would have been."""
    async for delta in prompted:
        if delta.text:
            yield event({"choice": delta.choice, "text": delta.text})
    model, usage = prompted.model, prompted.usage
    yield event(
        {
            "model_name": model.name,
            "model_version": model.version,
            "predictions": [prompted.prediction()],
            "usage": usage._asdict(),
        }
    )
