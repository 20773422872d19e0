"""/openapi.json and /docs: what every endpoint takes and answers, for the models that are ready right now.

The page is one file of our own, so that it works without internet (FastAPI's default page loads scripts from a CDN).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from serving.api import json_response
from serving.describe_generation import describe_generation
from serving.model_host import ModelHost
from serving.oip.metadata import ready_models
from serving.predict_routes import describe_predictions
from serving.served_model import ServedModel

PAGE = Path(__file__).with_name("docs.html")


def add_docs(api: FastAPI, host: ModelHost) -> None:
    """Add both routes to the application whose other routes they describe."""
    page = PAGE.read_text("utf-8")

    @api.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        return HTMLResponse(page)

    @api.get("/openapi.json", include_in_schema=False)
    async def get_openapi_json() -> Response:
        return json_response(describe(api, host))


def describe(api: FastAPI, host: ModelHost) -> dict[str, Any]:
    """FastAPI's description of its own routes, and ours of those that it does not see."""
    described = get_openapi(title=api.title, version="2", routes=api.routes)
    models = ready_models(host)
    paths, schemas = describe_predictions([model for model in models if isinstance(model, ServedModel)])
    generating, generated = describe_generation(models)
    paths, schemas = paths | generating, schemas | generated
    described["paths"] = paths | described["paths"]
    described.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    return described
