"""The task's own endpoints: POST /v1/models/{name}/{verb} for pictures, GET …/drift, and their description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Response

from serving.accept import preferred_media_type
from serving.answer import Answer, json_answer
from serving.api import json_response
from serving.deadline import Arrival
from serving.model_host import ModelHost
from serving.multipart import Form, is_multipart, parse_form
from serving.served_model import ServedModel
from tasks.errors import BadInput, Forbidden
from tasks.task import ParamValue, Task

SCHEMAS = "#/components/schemas/{name}"


async def answer_predict(
    model: ServedModel, headers: Mapping[bytes, bytes], query: bytes, body: bytes, arrival: Arrival
) -> Answer:
    """One picture as the body, or several as files of a form → one prediction each, in order; or one picture → one
    picture, where the parameters or the Accept header ask for that. Raises TidegateError."""
    form = read_pictures(headers, body)
    accepted = accepted_parameters(model.task, headers)
    params = model.task.parse_params({**accepted, **parse_query(query), **form.fields})
    deadline = arrival.deadline()
    if params.wants_picture:
        if len(form.files) > 1:
            raise BadInput(
                f"an answer holds one picture, and {len(form.files)} were sent: send each in its own request"
            )
        media_type, content = await model.draw(form.files[0], params, deadline)
        return Answer(200, ((b"content-type", media_type.encode()),), content)
    if len(form.files) == 1:
        predictions = [await model.predict(form.files[0], params, deadline)]
    else:
        predictions = await model.predict_many(form.files, params, deadline)
    return json_answer({"model_name": model.name, "model_version": model.version, "predictions": predictions})


def read_pictures(headers: Mapping[bytes, bytes], body: bytes) -> Form:
    """One picture as the body, or several as files of a form. Raises BadInput for a form without any."""
    content_type = headers.get(b"content-type", b"")
    form = parse_form(content_type, body) if is_multipart(content_type) else Form([body], {})
    if not form.files:
        raise BadInput("the form holds no file; give each picture a part with a file name")
    return form


def accepted_parameters(task: Task, headers: Mapping[bytes, bytes]) -> Mapping[str, ParamValue]:
    """The parameters that mean what the Accept header asks for; none for JSON."""
    accept = headers.get(b"accept")
    if not task.media_types or accept is None:
        return {}
    return task.media_types.get(preferred_media_type(accept, task.media_types), {})


def parse_query(query: bytes) -> dict[str, str]:
    """A query string as parameters. Raises BadInput for what is not one."""
    if not query:
        return {}
    try:
        return dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32))
    except ValueError as error:
        raise BadInput(f"the query string can not be read: {error}") from error


def build_router(host: ModelHost) -> APIRouter:
    """What the task endpoints need beside the prediction itself, which the front answers."""
    router = APIRouter(tags=["Monitoring"])

    async def get_drift(name: str, version: str | None = None) -> Response:
        """How far live traffic is from the reference, per signal, and whether that is an alarm."""
        return json_response(host.get(name, version).monitor.report())

    async def forbid_reset() -> Response:
        raise Forbidden("resetting the drift window is administration: use the administration port and its token")

    for prefix in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        router.add_api_route(f"{prefix}/drift", get_drift, methods=["GET"])
        router.add_api_route(f"{prefix}/drift/reset", forbid_reset, methods=["POST"], include_in_schema=False)
    return router


def describe_predictions(models: Iterable[ServedModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """OpenAPI paths and schemas of the endpoints of the models that are ready."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {
        "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    }
    for model in models:
        kind = model.task.prediction_type
        _, found = msgspec.json.schema_components([kind], ref_template=SCHEMAS)
        schemas |= found
        paths[f"/v1/models/{model.name}/{model.task.verb}"] = {"post": operation(model)}
    return paths, schemas


def operation(model: ServedModel) -> dict[str, Any]:
    """One endpoint: what it takes and what it answers."""
    picture = {"type": "string", "format": "binary"}
    files = {"type": "object", "properties": {"file": {"type": "array", "items": picture}}}
    prediction = {"$ref": SCHEMAS.format(name=model.task.prediction_type.__name__)}
    answer = {
        "type": "object",
        "required": ["model_name", "model_version", "predictions"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "predictions": {"type": "array", "items": prediction},
        },
    }
    contents = {"application/json": {"schema": answer}} | {kind: {"schema": picture} for kind in model.task.media_types}
    described = "one prediction per picture"
    if model.task.media_types:
        described += "; or a picture of the prediction, by parameter or Accept header, for one picture"
    error = {"application/json": {"schema": SCHEMAS_ERROR}}
    told = {"400": "bad input", "413": "too large", "429": "overloaded", "503": "not ready", "504": "deadline"}
    return {
        "tags": ["Prediction"],
        "summary": f"{model.task.verb} one picture, or several at once",
        "operationId": f"{model.task.verb}_{model.name}",
        "parameters": query_parameters(model.task),
        "requestBody": {
            "required": True,
            "content": {"image/*": {"schema": picture}, "multipart/form-data": {"schema": files}},
        },
        "responses": {
            "200": {"description": described, "content": contents},
            **{code: {"description": text, "content": error} for code, text in told.items()},
        },
    }


SCHEMAS_ERROR = {"$ref": SCHEMAS.format(name="Error")}


def query_parameters(task: Task) -> list[dict[str, Any]]:
    """The fields of the task's parameters."""
    schema = msgspec.json.schema(task.params_type)
    properties = schema["$defs"][task.params_type.__name__].get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": described} for name, described in properties.items()
    ]
