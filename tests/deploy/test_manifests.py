"""Every set of manifests holds what is expected of it: schemas, pods, settings, the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.deploy import network_checks, pod_checks, schema_checks, setting_checks
from tests.deploy.pods import pods_of, serves
from tests.deploy.rendering import SETS, Document

Check = Callable[[list[Document]], Iterator[str]]
CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check
    for module in (schema_checks, pod_checks, setting_checks, network_checks)
    for name, check in vars(module).items()
    if name.startswith("check_")
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SETS)
def test_manifests_hold(name: str, check: str, rendered: Callable[[str], list[Document]]) -> None:
    assert list(CHECKS[check](rendered(name))) == []


@pytest.mark.parametrize("name", SETS)
def test_every_set_serves(name: str, rendered: Callable[[str], list[Document]]) -> None:
    assert any(serves(container) for pod in pods_of(rendered(name)) for container in pod.containers)


def test_components_bring_what_they_are_for(rendered: Callable[[str], list[Document]]) -> None:
    kinds = {name: {document["kind"] for document in rendered(name)} for name in SETS}
    assert "ScaledObject" in kinds["components/keda"]
    assert "ServiceMonitor" in kinds["components/monitoring"]
    assert {"ClusterServingRuntime", "InferenceService"} <= kinds["components/kserve"]
    assert "StatefulSet" in kinds["components/postgres"]
    assert {"Job", "CronJob", "TrainJob"} <= kinds["components/training"]
    assert "Deployment" in kinds["components/triton"]
