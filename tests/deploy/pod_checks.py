"""Is every pod one that may run beside others: bounded, without root, pinned, its secrets named and not told?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.deploy.pods import Pod, mount_of, pods_of
from tests.deploy.rendering import Document

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CAPTURE_TAG = f"{VERSION}-capture"
"""Of a server's image that has the extra `capture` as well."""
RESOURCES = {"cpu", "memory", "ephemeral-storage"}
IMAGE = re.compile(r"(?P<name>[a-z0-9./:-]+?):(?P<tag>[A-Za-z0-9._-]+)(@sha256:[0-9a-f]{64})?")
OURS = re.compile(r"(^|/)tidegate[-/]")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", re.IGNORECASE)
CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]+@")
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def check_resources(documents: list[Document]) -> Iterator[str]:
    """Every container asks for what it needs and is held to a limit; a GPU is asked for whole."""
    for pod in pods_of(documents):
        for container in pod.containers:
            resources = container.get("resources", {})
            for side in ("requests", "limits"):
                if missing := RESOURCES - set(resources.get(side, ())):
                    yield f"{pod.owner}/{container.get('name')}: no {side} of {', '.join(sorted(missing))}"
            gpus = [resources.get(side, {}).get("nvidia.com/gpu") for side in ("requests", "limits")]
            if gpus[0] != gpus[1]:
                yield f"{pod.owner}/{container.get('name')}: GPUs requested {gpus[0]}, limit {gpus[1]}"


def check_images(documents: list[Document]) -> Iterator[str]:
    """Each has a version, ours that of the project."""
    for pod in pods_of(documents):
        for container in pod.containers:
            found = IMAGE.fullmatch(container["image"])
            if found is None or found["tag"] == "latest":
                yield f"{pod.owner}: image {container['image']} has no version"
            elif OURS.search(found["name"]) and found["tag"] not in tags_of(found["name"]):
                yield f"{pod.owner}: image {container['image']} is not of version {VERSION}"


def tags_of(name: str) -> set[str]:
    """That an image of ours may have: only a server can capture."""
    return {VERSION, CAPTURE_TAG} if re.search(r"[-/]server-", name) else {VERSION}


def check_security(documents: list[Document]) -> Iterator[str]:
    """What the level "restricted" of pod security asks for, on a read-only disk and without the token of an account."""
    for pod in pods_of(documents):
        context = pod.spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{pod.owner}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.owner}: no seccomp profile"
        if not pod.owner.startswith("TrainJob/") and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: carries the token of its account"
        for container in pod.containers:
            if container.get("securityContext") != LOCKED:
                yield f"{pod.owner}/{container.get('name')}: security context is not {LOCKED}"
            if mount_of("/tmp", container) is None:
                yield f"{pod.owner}/{container.get('name')}: nowhere to write temporary files"


def check_volumes(documents: list[Document]) -> Iterator[str]:
    """What is mounted is there, and what is there is mounted."""
    for pod in pods_of(documents):
        there = {volume["name"] for volume in pod.spec.get("volumes", ())} | claimed(pod, documents)
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", ())}
        for name in sorted(there ^ mounted):
            yield f"{pod.owner}: volume {name} is {'never mounted' if name in there else 'not there'}"
        for volume in pod.spec.get("volumes", ()):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in names_of("PersistentVolumeClaim", documents):
                yield f"{pod.owner}: there is no claim {claim}"


def claimed(pod: Pod, documents: list[Document]) -> set[str]:
    """Volumes that a StatefulSet claims for each of its pods."""
    sets = [d for d in documents if f"{d['kind']}/{d['metadata']['name']}" == pod.owner]
    return {claim["metadata"]["name"] for one in sets for claim in one["spec"].get("volumeClaimTemplates", ())}


def names_of(kind: str, documents: list[Document]) -> set[str]:
    return {document["metadata"]["name"] for document in documents if document["kind"] == kind}


def check_secrets(documents: list[Document]) -> Iterator[str]:
    """By reference only: none among the documents, none in a variable, none in an address."""
    yield from (f"Secret/{name} is among the manifests" for name in names_of("Secret", documents))
    for pod in pods_of(documents):
        for container in pod.containers:
            for variable in container.get("env", ()):
                if SECRET_NAME.search(variable["name"]) and "value" in variable:
                    yield f"{pod.owner}: {variable['name']} is told and not referred to"
    for place, text in texts(documents):
        if CREDENTIALS.search(text) or (SECRET_NAME.search(place.rpartition(".")[2]) and place.startswith("ConfigMap")):
            yield f"{place} holds a secret"


def texts(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Every string, and where it stands."""
    for document in documents:
        yield from walk(f"{document['kind']}/{document['metadata']['name']}", document)


def walk(place: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield place, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from walk(f"{place}.{key}", value)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from walk(f"{place}.{number}", value)
