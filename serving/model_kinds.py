"""A model of the kind that a route can answer for, or an error that says what to call instead."""

from __future__ import annotations

from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import Unsupported


def single_shot(model: Served) -> ServedModel:
    """A model that answers as a whole. Raises Unsupported for one that generates."""
    if isinstance(model, ServedModel):
        return model
    raise Unsupported(
        f"model {model.name!r} generates text and takes no tensors: POST /v2/models/{model.name}/generate, or use "
        "ModelStreamInfer, /v1/completions or the endpoints that GET /docs lists for it"
    )
