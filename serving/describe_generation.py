"""OpenAPI descriptions of the endpoints of models that generate: those of the front, which FastAPI does not see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from serving.generative_model import GenerativeModel
from serving.openai.chat_request import ChatRequest
from serving.openai.completion_request import CompletionRequest
from serving.openai.request import REFUSED, WITHOUT_EFFECT
from serving.openai_routes import CHAT, COMPLETIONS
from serving.served import Served
from serving.upstream.model import UpstreamModel
from tasks.captioning import CaptioningPrediction
from tasks.generation_params import GenerationParams
from tasks.text_generation import TextGenerationPrediction

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
SCHEMAS = "#/components/schemas/{name}"
TAG = "Generation"
PICTURE: Schema = {"type": "string", "format": "binary"}
TOKENS: Schema = {"type": "array", "items": {"type": "integer"}}
PROMPT: Schema = {"anyOf": [STRING, TOKENS, {"type": "array", "items": {"anyOf": [STRING, TOKENS]}}]}
EVENTS: Schema = {"text/event-stream": {"schema": {"type": "string"}}}
TOLD: Mapping[str, str] = {
    "400": "bad input",
    "404": "no such model",
    "413": "too large",
    "429": "overloaded",
    "503": "not ready",
    "504": "deadline",
}


def describe_generation(models: Iterable[Served]) -> tuple[Schema, Schema]:
    """Paths and schemas for the models that are ready; nothing where none of them generates."""
    paths: Schema = {}
    parts: list[type] = [GenerationParams]
    texts: list[Served] = []
    for model in models:
        if isinstance(model, GenerativeModel) and model.task.encoder is not None:
            paths[f"/v1/models/{model.name}/{model.task.verb}"] = {"post": caption_operation(model)}
            parts.append(CaptioningPrediction)
        elif isinstance(model, GenerativeModel | UpstreamModel):
            texts.append(model)
    if not paths and not texts:
        return {}, {}
    for model in texts:
        paths |= text_operations(model)
    if texts:
        parts += [TextGenerationPrediction, CompletionRequest, ChatRequest]
    schemas = msgspec.json.schema_components(parts, ref_template=SCHEMAS)[1]
    for kind in (CompletionRequest, ChatRequest):
        if kind.__name__ in schemas:
            schemas[kind.__name__] = offered(schemas[kind.__name__])
    return paths, schemas


def text_operations(model: Served) -> Schema:
    """All ways to let one model continue a text."""
    name = model.name
    ours = {"prompt": STRING, "stream": {"type": "boolean"}, **property_schemas(GenerationParams)}
    oip = {"text_input": STRING, "parameters": reference(GenerationParams), "id": STRING}
    short = {"max_tokens": 32}
    prompt = {"model": name, "prompt": "Once", "stream": True, **short}
    talk = {"model": name, "messages": [{"role": "user", "content": "Hello"}], "stream": True, **short}
    return {
        f"/v1/models/{name}/generate": {
            "post": operation(
                "continue a text; at once, or as events",
                json_body(ours, "prompt", {"prompt": "Once", "stream": True, **short}),
                predictions(TextGenerationPrediction),
            )
        },
        COMPLETIONS: {"post": operation("OpenAI: continue texts", referred_body(CompletionRequest, prompt), {})},
        CHAT: {"post": operation("OpenAI: the next message of a chat", referred_body(ChatRequest, talk), {})},
        f"/v2/models/{name}/generate": {
            "post": operation(
                "Open Inference Protocol: continue a text",
                json_body(oip, "text_input", {"text_input": "Once", "parameters": short}),
                {"type": "object", "properties": dict.fromkeys(("model_name", "model_version", "text_output"), STRING)},
            )
        },
        f"/v2/models/{name}/generate_stream": {
            "post": operation(
                "the same as events", json_body(oip, "text_input", {"text_input": "Once", "parameters": short}), {}
            )
        },
    }


def caption_operation(model: GenerativeModel) -> Schema:
    """Like the endpoints of other models for pictures, so that the page offers the same form."""
    files = {"type": "object", "properties": {"file": {"type": "array", "items": PICTURE}}}
    fields = {**property_schemas(GenerationParams), "stream": {"type": "boolean", "default": False}}
    body = {"required": True, "content": {"image/*": {"schema": PICTURE}, "multipart/form-data": {"schema": files}}}
    described = operation("say what a picture shows; at once, or as events", body, predictions(CaptioningPrediction))
    parameters = [{"name": name, "in": "query", "required": False, "schema": one} for name, one in fields.items()]
    return described | {"tags": ["Prediction"], "operationId": f"caption_{model.name}", "parameters": parameters}


def operation(summary: str, body: Schema, answer: Schema) -> Schema:
    error = {"application/json": {"schema": {"$ref": SCHEMAS.format(name="Error")}}}
    return {
        "tags": [TAG],
        "summary": summary,
        "requestBody": body,
        "responses": {
            "200": {"description": "the answer", "content": {"application/json": {"schema": answer}, **EVENTS}},
            **{code: {"description": text, "content": error} for code, text in TOLD.items()},
        },
    }


def json_body(fields: Schema, required: str, example: Schema) -> Schema:
    schema = {"type": "object", "required": [required], "properties": fields}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def referred_body(kind: type, example: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": reference(kind), "example": example}}}


def predictions(kind: type) -> Schema:
    """What the endpoints in our own words answer."""
    return {
        "type": "object",
        "required": ["model_name", "model_version", "predictions"],
        "properties": {
            "model_name": STRING,
            "model_version": STRING,
            "predictions": {"type": "array", "items": reference(kind)},
        },
    }


def reference(kind: type) -> Schema:
    return {"$ref": SCHEMAS.format(name=kind.__name__)}


def property_schemas(kind: type) -> Schema:
    """The fields of a struct."""
    described: Schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    found: Schema = described["properties"]
    return found


def offered(schema: Schema) -> Schema:
    """A request of the OpenAI API without the fields that are refused, or change nothing."""
    hidden = {*REFUSED, *WITHOUT_EFFECT}
    shown = {name: one for name, one in schema["properties"].items() if name not in hidden}
    return schema | {"properties": shown | ({"prompt": PROMPT} if "prompt" in shown else {})}
