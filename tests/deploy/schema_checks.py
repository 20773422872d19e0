"""Does every document say what its kind allows? Kubernetes' own kinds by its schemas, others by those kept here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.deploy.rendering import Document

SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest Kubernetes that the manifests are for (it knows preStop.sleep), and the newest that is known here."""


def check_schemas(documents: list[Document]) -> Iterator[str]:
    """Unknown fields, wrong types, missing fields."""
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        yield from (f"{name}: {problem}" for problem in problems_of(json.dumps(document)))


@cache
def problems_of(text: str) -> tuple[str, ...]:
    """Of one document, which several sets may have: its schemas take longer to read than it does."""
    document = json.loads(text)
    try:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return (f"Kubernetes {error.version}: {'.'.join(map(str, error.path))}: {error.message}",)
    except kubernetes_validate.SchemaNotFoundError:
        return tuple(custom_problems(document))
    return ()


def custom_problems(document: Document) -> Iterator[str]:
    """A kind that is not Kubernetes' own must have a schema here."""
    if not (SCHEMAS / f"{document['kind']}.json").is_file():
        yield f"there is no schema of {document['apiVersion']} in {SCHEMAS}"
        return
    for error in validator(document["kind"]).iter_errors(document):
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


@cache
def validator(kind: str) -> Draft202012Validator:
    """Of a custom kind; containers, volumes and the like inside are those of the newest Kubernetes."""
    core = schema_contents(f"kubernetes-json-schema/v{VERSIONS[-1]}-local-strict/_definitions.json", VERSIONS[-1])
    registry: Registry[Any] = Resource.from_contents(core) @ Registry()
    schema: Mapping[str, Any] = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=registry)
