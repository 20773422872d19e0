"""Do the manifests speak to the code as it is: settings, flags, ports, health paths, metrics?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from serving.access.open_paths import HEALTH
from serving.config import ServerConfig
from serving.config_sources import PREFIX, load_config
from serving.metrics import Metrics
from tasks.errors import TidegateError
from tests.deploy.pod_checks import OURS, texts
from tests.deploy.pods import Pod, mount_of, pods_of, serves, variables
from tests.deploy.rendering import Document
from tidegate.cli import app
from training.recipe import load_recipe

UsageError = typer.BadParameter.__base__
"""Of the parser that typer carries within itself, and offers under the name of one kind of it alone."""
SHELL_COMMAND = re.compile(r"tidegate ([^;|&]+)")
METRIC = re.compile(r"\btidegate_[a-z0-9_]+")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
PORTS = ("http", "grpc", "metrics")


def check_settings(documents: list[Document]) -> Iterator[str]:
    """Every TIDEGATE_ variable is a setting that takes this value; files and folders that settings name are mounted."""
    for pod in pods_of(documents):
        for container in pod.containers:
            environment = variables(container, documents)
            given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
            try:
                config = load_config(given, {})
            except TidegateError as error:
                yield f"{pod.owner}: {error}"
                continue
            if serves(container):
                yield from path_problems(pod, container, config)


def path_problems(pod: Pod, container: Mapping[str, Any], config: ServerConfig) -> Iterator[str]:
    """A file of a Secret is read where it is mounted, a cache written where that is allowed; access and TLS are on."""
    for name in ("api_keys", "tls_certificate", "tls_key"):
        if not getattr(config, name):
            yield f"{pod.owner}: {name} is not set"
        elif mount_of(getattr(config, name), container) is None:
            yield f"{pod.owner}: nothing is mounted where {name} is"
    for name in ("cache_dir", "engine_cache"):
        if (path := getattr(config, name)) and mount_of(path, container) is None:
            yield f"{pod.owner}: nothing is mounted where {name} is"
    cache = mount_of(config.cache_dir, container)
    if cache is not None and cache.get("readOnly"):
        yield f"{pod.owner}: {config.cache_dir} can not be written"


def check_commands(documents: list[Document]) -> Iterator[str]:
    """Every command line of ours parses, and the recipes that it names are there."""
    commands = typer.main.get_group(app).commands
    for pod in pods_of(documents):
        for container in pod.containers:
            for name, *arguments in command_lines(container):
                try:
                    given = commands[name].make_context(name, arguments).params
                    if name == "train":
                        load_recipe(given["recipe"], given["overrides"] or ())
                except (KeyError, UsageError, TidegateError) as error:
                    yield f"{pod.owner}: tidegate {shlex.join([name, *arguments])}: {error}"


def command_lines(container: Mapping[str, Any]) -> Iterator[list[str]]:
    """What `tidegate` is started with: by the image itself, by torchrun, or by a shell."""
    command, arguments = container.get("command", []), container.get("args", [])
    if not command and OURS.search(container["image"]) and "mlflow" not in container["image"]:
        yield list(arguments)
    elif command[:1] == ["torchrun"]:
        yield [*command, *arguments][command.index("tidegate") + 1 :]
    elif command[:1] == ["sh"]:
        yield from (shlex.split(found) for found in SHELL_COMMAND.findall(arguments[0]))


def check_ports(documents: list[Document]) -> Iterator[str]:
    """Servers listen where their containers say, and Services lead there by name."""
    for pod in pods_of(documents):
        for container in pod.containers:
            if serves(container):
                config = load_config(ours(variables(container, documents)), {})
                wanted = {name: getattr(config, f"{name}_port") for name in PORTS}
                named = {port["name"]: port["containerPort"] for port in container["ports"]}
                if named != wanted:
                    yield f"{pod.owner}: ports are {named}, the server listens on {wanted}"
    for service in (document for document in documents if document["kind"] == "Service"):
        name = f"Service/{service['metadata']['name']}"
        chosen = [pod for pod in pods_of(documents) if service["spec"]["selector"].items() <= pod.labels.items()]
        if not chosen:
            yield f"{name} leads to no pod"
        for pod in chosen:
            there = {port["name"] for container in pod.containers for port in container.get("ports", ())}
            if missing := {port["targetPort"] for port in service["spec"]["ports"]} - there:
                yield f"{name}: {pod.owner} has no port {', '.join(sorted(missing))}"


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(PREFIX)}


def check_probes(documents: list[Document]) -> Iterator[str]:
    """A server is asked what it answers without a key, over TLS where it speaks that; everybody else is asked too."""
    for pod in pods_of(documents):
        for container in (one for one in pod.spec["containers"] if "ports" in one):
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                if kind not in container:
                    yield f"{pod.owner}: no {kind}"
                elif serves(container):
                    yield from (f"{pod.owner}, {kind}: {problem}" for problem in probe_problems(container[kind]))


def probe_problems(probe: Mapping[str, Any]) -> Iterator[str]:
    asked = probe["httpGet"]
    if asked["path"] not in HEALTH:
        yield f"{asked['path']} is no health path; those are {', '.join(sorted(HEALTH))}"
    if asked.get("scheme") != "HTTPS":
        yield "the server speaks TLS and is asked without"


def check_metrics(documents: list[Document]) -> Iterator[str]:
    """Whatever is called tidegate_… in a query is a metric of the code."""
    known = metric_names()
    for place, text in texts(documents):
        if place.rpartition(".")[2] in ("query", "expr"):
            for name in sorted(set(METRIC.findall(text)) - known):
                yield f"{place}: there is no metric {name}"


def metric_names() -> set[str]:
    """Every series name that a server can export, as Prometheus stores it."""
    metrics = Metrics()
    metrics.for_model("model", "1", (1,))
    metrics.for_generation("model", "1", 1)
    families = metrics.registry.collect()
    return {f"{family.name}{suffix}" for family in families for suffix in SUFFIXES.get(family.type, ("",))}
