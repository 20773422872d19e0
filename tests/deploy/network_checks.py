"""Does a fleet of these pods survive what a cluster does to it: drains, restarts, lost zones, strangers?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serving.config_sources import load_config
from serving.shutdown import stop_limit_s
from tests.deploy.pods import Pod, pods_of, serves, variables
from tests.deploy.rendering import Document
from tests.deploy.setting_checks import ours


def check_draining(documents: list[Document]) -> Iterator[str]:
    """A server that is told to stop waits until nothing more is sent, answers what it has, and is not killed."""
    for pod in pods_of(documents):
        for container in filter(serves, pod.spec["containers"]):
            wait_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            settings = load_config(ours(variables(container, documents)), {})
            stop_s = wait_s + stop_limit_s(settings.drain_timeout_s)
            grace_s = pod.spec.get("terminationGracePeriodSeconds", 30)
            if wait_s < 5:
                yield f"{pod.owner}: stops at once, while it is still sent requests"
            if grace_s <= stop_s:
                yield f"{pod.owner}: killed after {grace_s} s, and stopping takes up to {stop_s:g} s"


def check_spread(documents: list[Document]) -> Iterator[str]:
    """Replicas of the server spread over nodes, and emptying a node takes one at a time."""
    for pod in server_pods(documents):
        constraints = pod.spec.get("topologySpreadConstraints", ())
        if "kubernetes.io/hostname" not in {one["topologyKey"] for one in constraints}:
            yield f"{pod.owner}: replicas may share one node"
        keys = [(one["topologyKey"]) for one in constraints]
        if len(keys) != len(set(keys)):
            yield f"{pod.owner}: spread twice by the same key"
        if not all(chooses(one["labelSelector"], pod.labels) for one in constraints):
            yield f"{pod.owner}: a spread constraint counts other pods"
        budgets = [d["spec"] for d in documents if d["kind"] == "PodDisruptionBudget"]
        if not any(chooses(budget["selector"], pod.labels) for budget in budgets):
            yield f"{pod.owner}: no PodDisruptionBudget"


def check_policies(documents: list[Document]) -> Iterator[str]:
    """Everything is refused unless a policy allows it, each policy is about some pod, and names ports that it has."""
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    refusing = [d for d in policies if d["spec"]["podSelector"] == {} and not {"ingress", "egress"} & set(d["spec"])]
    if not any(set(d["spec"]["policyTypes"]) == {"Ingress", "Egress"} for d in refusing):
        yield "nothing refuses what is not allowed"
    for policy in policies:
        name, spec = f"NetworkPolicy/{policy['metadata']['name']}", policy["spec"]
        chosen = [pod for pod in pods_of(documents) if chooses(spec["podSelector"], pod.labels)]
        if not chosen:
            yield f"{name} is about no pod"
        for pod in chosen:
            there = {port["name"] for container in pod.containers for port in container.get("ports", ())}
            wanted = {p["port"] for rule in spec.get("ingress", ()) for p in rule.get("ports", ())}
            if missing := wanted - there:
                yield f"{name}: {pod.owner} has no port {', '.join(sorted(missing))}"


def check_scaling(documents: list[Document]) -> Iterator[str]:
    """What is scaled is there and fixes no number itself; what is scraped is there and offers that port."""
    for scaled in (document for document in documents if document["kind"] == "ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]["name"]
        found = [d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == target]
        if not found:
            yield f"ScaledObject: there is no Deployment {target}"
        if any("replicas" in deployment["spec"] for deployment in found):
            yield f"ScaledObject: Deployment {target} fixes its replicas"
    services = [document for document in documents if document["kind"] == "Service"]
    for monitor in (document for document in documents if document["kind"] == "ServiceMonitor"):
        chosen = [d for d in services if chooses(monitor["spec"]["selector"], d["metadata"]["labels"])]
        ports = {port["name"] for service in chosen for port in service["spec"]["ports"]}
        if len(chosen) != 1 or not {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports:
            yield f"ServiceMonitor {monitor['metadata']['name']}: {len(chosen)} Services, with ports {sorted(ports)}"


def server_pods(documents: list[Document]) -> Iterator[Pod]:
    return (pod for pod in pods_of(documents) if any(map(serves, pod.spec["containers"])))


def chooses(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector, as Kubernetes reads it; of expressions only In."""
    listed = all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ()))
    return listed and selector.get("matchLabels", {}).items() <= labels.items()
