"""Every set of manifests holds what is expected of it: schemas, pods, settings, the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy import capture_checks, network_checks, pod_checks, schema_checks, setting_checks
from tests.deploy.pod_checks import VERSION
from tests.deploy.pods import mount_of, pods_of, serves
from tests.deploy.rendering import OVERLAYS, SETS, Document, render_keeping, render_with
from tests.deploy.setting_checks import command_lines

Check = Callable[[list[Document]], Iterator[str]]
CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check
    for module in (schema_checks, pod_checks, setting_checks, network_checks, capture_checks)
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


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("component", ["gpu", "tensorrt"])
def test_a_gpu_gets_what_its_component_asks_for(
    overlay: str, component: str, rendered: Callable[[str], list[Document]], tmp_path: Path
) -> None:
    def server(documents: list[Document]) -> Document:
        (found,) = (d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == "tidegate")
        return found

    made = render_with(overlay, component, tmp_path)
    assert [problem for check in CHECKS.values() for problem in check(made)] == []
    ours, theirs = (server(documents)["spec"] for documents in (made, rendered(f"components/{component}")))
    assert ours["strategy"] == theirs["strategy"]
    (container,), (plain,) = (spec["template"]["spec"]["containers"] for spec in (ours, theirs))
    for side in ("requests", "limits"):
        asked, wanted = (one["resources"][side] for one in (container, plain))
        assert all(asked[what] == wanted[what] for what in ("cpu", "memory", "nvidia.com/gpu"))
    name = {"gpu": "server-gpu", "tensorrt": "server-tensorrt"}[component]
    registry = "registry.example.com/tidegate/" if overlay == "prod" else "tidegate-"
    assert container["image"] == f"{registry}{name}:{VERSION}"


def test_components_bring_what_they_are_for(rendered: Callable[[str], list[Document]]) -> None:
    kinds = {name: {document["kind"] for document in rendered(name)} for name in SETS}
    assert "ScaledObject" in kinds["components/keda"]
    assert "ServiceMonitor" in kinds["components/monitoring"]
    assert {"ClusterServingRuntime", "InferenceService"} <= kinds["components/kserve"]
    assert "StatefulSet" in kinds["components/postgres"]
    assert {"Job", "CronJob", "TrainJob"} <= kinds["components/training"]
    assert "Deployment" in kinds["components/triton"]


def test_images_of_an_overlay_are_those_of_its_trainings_as_well(tmp_path: Path) -> None:
    made = render_keeping("prod", "TrainJob", tmp_path)
    assert [problem for check in CHECKS.values() for problem in check(made)] == []
    used = {pod.owner: {container["image"] for container in pod.containers} for pod in pods_of(made)}
    assert used["TrainJob/train-stdlib-llama"] == {f"registry.example.com/tidegate/trainer:{VERSION}"}
    assert used["CronJob/retrain-digits"] == used["TrainJob/train-stdlib-llama"]


def test_retraining_by_the_clock_reads_what_servers_captured(rendered: Callable[[str], list[Document]]) -> None:
    documents = rendered("components/training")
    (pod,) = (pod for pod in pods_of(documents) if pod.owner == "CronJob/retrain-digits")
    (container,) = pod.containers
    given = [command[command.index("--data") + 1] for command in command_lines(container) if "--data" in command]
    mount = mount_of(given[0], container)
    assert mount is not None
    assert mount["readOnly"]
    volumes = {one["name"]: one.get("persistentVolumeClaim", {}).get("claimName") for one in pod.spec["volumes"]}
    claims = {one["metadata"]["name"] for one in documents if one["kind"] == "PersistentVolumeClaim"}
    assert volumes[mount["name"]] in claims
