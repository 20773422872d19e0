"""The OpenAI API: /v1/completions and /v1/chat/completions for the front, a router for the list of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from serving.answer import Answer, json_answer
from serving.answer_group import AnswerGroup, Answering
from serving.api import json_response, to_response
from serving.asked import Asked
from serving.deadline import Deadline
from serving.event_stream import EventStream, event
from serving.generative_model import GenerativeModel
from serving.model_host import ModelHost
from serving.oip.metadata import ready_models
from serving.openai.chat import ChatWire
from serving.openai.chat_request import ChatRequest
from serving.openai.completion import CompletionWire
from serving.openai.completion_request import CompletionRequest
from serving.openai.error_body import openai_error_answer
from serving.openai.head import DONE, Head
from serving.openai.request import read_request
from serving.prompts import chat_prompt, generative, prompts_of, text_task
from serving.served import Served
from serving.upstream.model import UpstreamModel
from tasks.errors import NotFound, TidegateError
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams
from tasks.text_generation import TextGeneration

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
Wire = CompletionWire | ChatWire


async def answer_openai(path: str, served: Served, body: bytes, deadline: Deadline) -> Answer | EventStream:
    """POST to one of the two paths. Raises TidegateError."""
    if isinstance(served, UpstreamModel):
        return await served.forward(path, body, deadline)
    model = generative(served)
    answer = answer_chat if path == CHAT else answer_completion
    return await answer(model, text_task(model), body, deadline)


async def answer_completion(
    model: GenerativeModel, task: TextGeneration, body: bytes, deadline: Deadline
) -> Answer | EventStream:
    """Texts go on."""
    request = read_request(body, CompletionRequest)
    params = task.parse_params(request.params())
    given = request.prompts(task.context)
    prompts = await prompts_of(model, given, params, deadline)
    texts = [one if isinstance(one, str) else task.tokenizer.decode(one) for one in given]
    wire = CompletionWire(head_of(model, "cmpl"), request, texts, task.tokenizer)
    return await answer_group(
        await start_all(model, prompts, texts, params, deadline), wire, is_stream=bool(request.stream)
    )


async def answer_chat(
    model: GenerativeModel, task: TextGeneration, body: bytes, deadline: Deadline
) -> Answer | EventStream:
    """A conversation gets its next message, of any length that there is room for."""
    request = read_request(body, ChatRequest)
    params = task.parse_params({"max_tokens": task.context} | request.params())
    turns = request.turns()
    prompt = await chat_prompt(model, turns, params, deadline)
    wire = ChatWire(head_of(model, "chatcmpl"), request, task.tokenizer)
    return await answer_group(
        await start_all(model, [prompt], [turns], params, deadline), wire, is_stream=bool(request.stream)
    )


async def start_all(
    model: GenerativeModel,
    prompts: Sequence[Prompt],
    given: Sequence[str | Sequence[Mapping[str, str]]],
    params: GenerationParams,
    deadline: Deadline,
) -> AnswerGroup:
    """All of them or none: what refuses one of them refuses the request. `given`: as they came, each a text or the
    messages of a conversation."""
    started: list[Answering] = []
    try:
        for index, prompt in enumerate(prompts):
            asked = Asked.now(index, prompt=given[index])
            started.append(await model.start(prompt, params, deadline, asked=asked))
    except BaseException:
        for answering in started:
            answering.cancel()
        raise
    return AnswerGroup(started, params.n)


async def answer_group(group: AnswerGroup, wire: Wire, *, is_stream: bool) -> Answer | EventStream:
    """What can go wrong before the first token goes wrong here."""
    if is_stream:
        await group.begin()
        return EventStream(wire_events(wire, group), group.cancel)
    answers = await group.wait()
    return json_answer(wire.whole(answers, group.usage))


async def wire_events(wire: Wire, group: AnswerGroup) -> AsyncIterator[bytes]:
    """The chunks of one answer, framed."""
    for chunk in wire.opening():
        yield event(chunk)
    async for delta in group:
        for chunk in wire.pieces(delta):
            yield event(chunk)
    for chunk in wire.closing(group.usage):
        yield event(chunk)
    yield DONE


def head_of(model: GenerativeModel, kind: str) -> Head:
    return Head(kind, model.name, f"{model.variant}-{model.package.digest[:12]}")


def build_router(host: ModelHost) -> APIRouter:
    """What there is to ask."""
    router = APIRouter(tags=["Generation"])

    @router.get("/v1/models", summary="The models of text that are ready, as OpenAI's clients list them")
    async def get_models() -> Response:
        return json_response({"object": "list", "data": [model_wire(model) for model in text_models(host)]})

    @router.get("/v1/models/{name}", summary="One model of text, as OpenAI's clients retrieve it")
    async def get_model(name: str) -> Response:
        try:
            return json_response(model_wire(text_model(host, name)))
        except TidegateError as error:
            return to_response(openai_error_answer(error))

    return router


def text_models(host: ModelHost) -> Iterable[Served]:
    """Those that can be asked by this API and answer, each name once: which of its versions answers is routed."""
    found: dict[str, Served] = {}
    for model in ready_models(host):
        if continues_text(model):
            found.setdefault(model.name, model)
    return found.values()


def text_model(host: ModelHost, name: str) -> Served:
    """Raises NotFound also for a model that this API can not ask; NotReady."""
    model = host.get(name)
    if not continues_text(model):
        raise NotFound(f"model {name!r} does not take text; GET /v2/models/{name} says what it takes")
    return model


def continues_text(model: Served) -> bool:
    if isinstance(model, UpstreamModel):
        return True
    return isinstance(model, GenerativeModel) and isinstance(model.task, TextGeneration)


def model_wire(model: Served) -> dict[str, Any]:
    """`created`: when it was exported; 0 for a model that another server runs."""
    created = 0.0
    if model.package is not None:
        created = datetime.fromisoformat(model.package.manifest.lineage.created_at).timestamp()
    return {"id": model.name, "object": "model", "created": int(created), "owned_by": "tidegate"}
