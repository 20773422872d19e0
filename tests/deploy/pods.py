"""Pods, wherever a manifest hides them: the same few facts of a Deployment, a CronJob, a TrainJob or KServe's kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.deploy.rendering import Document

TEMPLATED = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True)
class Pod:
    """What a controller makes. `spec` as in core/v1, as far as the kind that holds it has such fields."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Those of the start included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def pods_of(documents: list[Document]) -> Iterator[Pod]:
    """Every pod that these documents lead to. A runtime of KServe and its InferenceService make one together."""
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        owner = f"{kind}/{document['metadata']['name']}"
        if kind in TEMPLATED:
            yield pod(owner, spec["template"])
        elif kind == "CronJob":
            yield pod(owner, spec["jobTemplate"]["spec"]["template"])
        elif kind == "TrainJob":
            yield train_job_pod(owner, spec)
        elif kind == "InferenceService":
            yield served_pod(owner, spec["predictor"], documents)


def pod(owner: str, template: Document) -> Pod:
    return Pod(owner, template["metadata"].get("labels", {}), template["spec"])


def train_job_pod(owner: str, spec: Document) -> Pod:
    """The trainer's container with what the runtime is patched with."""
    (patch,) = spec["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    template = job["template"]["spec"]["template"]
    trainer = {**spec["trainer"], "resources": spec["trainer"]["resourcesPerNode"]}
    (patched,) = template["spec"]["containers"]
    # Trainer's pods restart by a policy of the runtime, and have no account that a patch could take a token from.
    return Pod(owner, template["metadata"]["labels"], {**template["spec"], "containers": [{**trainer, **patched}]})


def served_pod(owner: str, predictor: Document, documents: list[Document]) -> Pod:
    """What KServe makes of a predictor and the runtime that it names."""
    name = predictor["model"]["runtime"]
    (runtime,) = (
        d["spec"] for d in documents if d["kind"] == "ClusterServingRuntime" and d["metadata"]["name"] == name
    )
    return Pod(owner, predictor["labels"], {**predictor, **{key: runtime[key] for key in ("containers", "volumes")}})


def mount_of(path: str, container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The mount that a path lies on, None where it lies on the image."""
    mounts = container.get("volumeMounts", ())
    above = [mount for mount in mounts if f"{path}/".startswith(f"{mount['mountPath'].rstrip('/')}/")]
    return max(above, key=lambda mount: len(mount["mountPath"]), default=None)


def variables(container: Mapping[str, Any], documents: list[Document]) -> dict[str, str]:
    """The environment that it starts with; what comes from a Secret is shown as its place there."""
    maps = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", ()):
        found[variable["name"]] = variable.get("value", "from a Secret")
    return found


def serves(container: Mapping[str, Any]) -> bool:
    """Is this our server?"""
    return list(container.get("args", ()))[:1] == ["serve"]
