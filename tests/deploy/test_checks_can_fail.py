"""Each check finds the mistake that it is for: one is made in a good set of manifests, and must be named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.deploy.rendering import Document
from tests.deploy.test_manifests import CHECKS

PROD, KSERVE, TRAINING = "overlays/prod", "components/kserve", "components/training"
TRITON, TENSORRT, CAPTURE = "components/triton", "components/tensorrt", "components/capture"
POD = "Deployment tidegate spec template spec"
SERVER = f"{POD} containers 0"
SETTINGS = "ConfigMap tidegate-settings data"
CLAIM = "PersistentVolumeClaim tidegate-captured spec"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tidegate-tls"}}
GADGET = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "gadget"}}
Change = Callable[[list[Document]], Any]


class Mistake(NamedTuple):
    """`make` spoils the documents of a set; the check of that name must then complain with `said` in its words."""

    check: str
    name: str
    said: str
    make: Change


def walk(documents: list[Document], place: str) -> tuple[Any, Any]:
    """The mapping or list that holds the last step of "Kind name step step …", and that step."""
    kind, name, *steps = place.split()
    (node,) = (d for d in documents if d["kind"] == kind and d["metadata"]["name"].startswith(name))
    path: list[Any] = [int(step) if step.isdecimal() else step for step in steps]
    for step in path[:-1]:
        node = node[step]
    return node, path[-1]


def put(place: str, value: Any) -> Change:
    def make(documents: list[Document]) -> None:
        node, step = walk(documents, place)
        node[step] = value

    return make


def cut(place: str) -> Change:
    def make(documents: list[Document]) -> None:
        node, step = walk(documents, place)
        del node[step]

    return make


def add(document: Document) -> Change:
    return lambda documents: documents.append(document)


def drop(kind: str) -> Change:
    def make(documents: list[Document]) -> None:
        documents[:] = [document for document in documents if document["kind"] != kind]

    return make


QUERY = "ScaledObject tidegate spec triggers 0 metadata"
JOB = "Job train spec template spec initContainers 0 args"
TRAINER = "TrainJob train spec trainer"
NAME = "app.kubernetes.io/name"
MISTAKES = (
    Mistake("schemas", PROD, "replica", put("Deployment tidegate spec replica", 3)),
    Mistake("schemas", PROD, "readinesProbe", put(f"{SERVER} readinesProbe", {})),
    Mistake("schemas", PROD, "treshold", put(f"{QUERY} treshold", "8")),
    Mistake("schemas", PROD, "intervall", put("ServiceMonitor tidegate spec endpoints 0 intervall", "15s")),
    Mistake("schemas", TRAINING, "numNode", put(f"{TRAINER} numNode", 2)),
    Mistake(
        "schemas", KSERVE, "storageURI", put("InferenceService tidegate spec predictor model storageURI", "s3://b")
    ),
    Mistake("schemas", KSERVE, "tolerance", put("ClusterServingRuntime tidegate spec tolerance", [])),
    Mistake("schemas", PROD, "no schema of example.com/v1", add(GADGET)),
    Mistake("resources", PROD, "no limits of memory", cut(f"{SERVER} resources limits memory")),
    Mistake("resources", TENSORRT, "GPUs requested 2", put(f"{SERVER} resources requests nvidia.com/gpu", "2")),
    Mistake("images", PROD, "has no version", put(f"{SERVER} image", "example.com/tidegate/server-cpu:latest")),
    Mistake("images", PROD, "not of version", put(f"{SERVER} image", "example.com/tidegate/server-cpu:0.0.9")),
    Mistake("security", PROD, "may run as root", cut(f"{POD} securityContext runAsNonRoot")),
    Mistake("security", PROD, "context is not", put(f"{SERVER} securityContext privileged", True)),
    Mistake("security", PROD, "carries the token", cut(f"{POD} automountServiceAccountToken")),
    Mistake("volumes", PROD, "volume tmp is not there", cut(f"{POD} volumes 1")),
    Mistake("volumes", TRITON, "there is no claim", drop("PersistentVolumeClaim")),
    Mistake(
        "secrets",
        PROD,
        "PGPASSWORD is told",
        put("Deployment mlflow spec template spec containers 0 env 0", {"name": "PGPASSWORD", "value": "hunter2"}),
    ),
    Mistake("secrets", PROD, "holds a secret", put(f"{SETTINGS} TIDEGATE_ADMIN_TOKEN", "hunter2")),
    Mistake("secrets", PROD, "holds a secret", put(f"{SETTINGS} X", "postgresql://mlflow:hunter2@postgres/mlflow")),
    Mistake("secrets", PROD, "among the manifests", add(SECRET)),
    Mistake("settings", PROD, "POLL_INTERVALL_S: there is no", put(f"{SETTINGS} TIDEGATE_POLL_INTERVALL_S", "5")),
    Mistake("settings", PROD, "poll_interval_s", put(f"{SETTINGS} TIDEGATE_POLL_INTERVAL_S", "often")),
    Mistake("settings", PROD, "api_keys is not set", cut(f"{SETTINGS} TIDEGATE_API_KEYS")),
    Mistake("settings", PROD, "nothing is mounted where cache_dir is", put(f"{SETTINGS} TIDEGATE_CACHE_DIR", "/cache")),
    Mistake("settings", TRITON, "triton_url", cut(f"{SETTINGS} TIDEGATE_TRITON_URL")),
    Mistake("commands", PROD, "No such option: --ports", put(f"{SERVER} args", ["serve", "--ports", "8000"])),
    Mistake(
        "commands", TRAINING, "trian", put(f"{TRAINER} command", ["torchrun", "-m", "tidegate", "trian", "digits"])
    ),
    Mistake("commands", TRAINING, "digitz", put(JOB, ["train", "digitz", "--resume"])),
    Mistake("ports", PROD, "the server listens on", put(f"{SETTINGS} TIDEGATE_HTTP_PORT", "8080")),
    Mistake("ports", PROD, "has no port web", put("Service mlflow spec ports 0 targetPort", "web")),
    Mistake("probes", PROD, "/healthz is no health path", put(f"{SERVER} livenessProbe httpGet path", "/healthz")),
    Mistake("probes", PROD, "speaks TLS", cut(f"{SERVER} readinessProbe httpGet scheme")),
    Mistake("probes", PROD, "no startupProbe", cut(f"{SERVER} startupProbe")),
    Mistake("metrics", PROD, "no metric tidegate_queue_length", put(f"{QUERY} query", "sum(tidegate_queue_length)")),
    Mistake("draining", PROD, "killed after 80 s", put(f"{POD} terminationGracePeriodSeconds", 80)),
    Mistake("draining", PROD, "stops at once", cut(f"{SERVER} lifecycle")),
    Mistake("spread", PROD, "may share one node", cut(f"{POD} topologySpreadConstraints")),
    Mistake("spread", PROD, "no PodDisruptionBudget", drop("PodDisruptionBudget")),
    Mistake("policies", PROD, "nothing refuses", drop("NetworkPolicy")),
    Mistake(
        "policies", PROD, "about no pod", put(f"NetworkPolicy mlflow spec podSelector matchLabels {NAME}", "mlfow")
    ),
    Mistake("capture", CAPTURE, "without the extra", put(f"{SERVER} image", "tidegate-server-cpu:0.1.0")),
    Mistake("capture", CAPTURE, "no claim is mounted", put(f"{SETTINGS} TIDEGATE_CAPTURE_DIR", "/tmp/captured")),
    Mistake("capture", CAPTURE, "can not be written", cut(f"{POD} securityContext fsGroup")),
    Mistake("capture", CAPTURE, "on two nodes", put(f"{CLAIM} accessModes", ["ReadWriteOnce"])),
    Mistake("capture", CAPTURE, "leaves no room", put(f"{CLAIM} resources requests storage", "16Gi")),
    Mistake("scaling", PROD, "fixes its replicas", put("Deployment tidegate spec replicas", 3)),
    Mistake("scaling", PROD, "0 Services", put(f"ServiceMonitor tidegate spec selector matchLabels {NAME}", "tide")),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.check}: {mistake.said}")
def test_a_mistake_is_found(mistake: Mistake, rendered: Callable[[str], list[Document]]) -> None:
    documents = rendered(mistake.name)
    mistake.make(documents)
    assert any(mistake.said in problem for problem in CHECKS[mistake.check](documents))


def test_every_check_is_tried() -> None:
    assert {mistake.check for mistake in MISTAKES} == set(CHECKS)
