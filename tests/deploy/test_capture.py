"""The component capture: beside every other, and with the trainings that read what it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.config_sources import load_config
from tests.deploy.dockerfile import ROOT, extras_built
from tests.deploy.pod_checks import VERSION
from tests.deploy.pods import pods_of, serves, variables
from tests.deploy.rendering import OVERLAYS, Document, render_base, render_changed, render_with
from tests.deploy.setting_checks import ours
from tests.deploy.test_manifests import CHECKS

CLAIM, PAGE = "tidegate-captured", ROOT / "docs/capture.md"
SHOWN = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WEEK_HOURS = 7 * 24


def users_of_claim(documents: list[Document]) -> set[str]:
    """The pods that mount it."""
    return {
        pod.owner
        for pod in pods_of(documents)
        for volume in pod.spec.get("volumes", ())
        if volume.get("persistentVolumeClaim", {}).get("claimName") == CLAIM
    }


def claims(documents: list[Document]) -> list[str]:
    return [d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"]


def server_of(documents: list[Document]) -> Mapping[str, Any]:
    """The one container that answers requests."""
    (server,) = (container for pod in pods_of(documents) for container in pod.containers if serves(container))
    return server


def problems_of(documents: list[Document]) -> list[str]:
    return [problem for check in CHECKS.values() for problem in check(documents)]


@pytest.mark.parametrize(
    ("components", "users"),
    [
        (("capture",), {"Deployment/tidegate"}),
        (("training",), {"CronJob/retrain-digits"}),
        (("capture", "training"), {"Deployment/tidegate", "CronJob/retrain-digits"}),
        (("training", "capture"), {"Deployment/tidegate", "CronJob/retrain-digits"}),
        (("gpu", "capture"), {"Deployment/tidegate"}),
        (("tensorrt", "capture"), {"Deployment/tidegate"}),
        (("triton", "keda", "capture"), {"Deployment/tidegate"}),
        (("kserve", "training", "capture"), {"InferenceService/tidegate", "CronJob/retrain-digits"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_one_claim_for_whoever_needs_it(components: tuple[str, ...], users: set[str], tmp_path: Path) -> None:
    made = render_base(components, tmp_path)
    assert problems_of(made) == []
    assert claims(made).count(CLAIM) == 1
    assert users_of_claim(made) == users


def test_a_component_behind_it_that_brings_an_image_of_its_own_is_found(tmp_path: Path) -> None:
    made = render_base(("capture", "tensorrt"), tmp_path)
    assert problems_of(made) == [
        f"Deployment/tidegate: tidegate-server-tensorrt:{VERSION} comes without the extra capture"
    ]


def test_retraining_that_reads_another_folder_is_found(tmp_path: Path) -> None:
    made = render_base(("training", "capture"), tmp_path)
    (settings,) = (d["data"] for d in made if d["kind"] == "ConfigMap" and "TIDEGATE_CAPTURE_DIR" in d["data"])
    settings["TIDEGATE_CAPTURE_DIR"] += "/here"
    (problem,) = problems_of(made)
    assert problem.startswith("CronJob/retrain-digits reads / of tidegate-captured, and Deployment/tidegate writes to")


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_overlay_captures_when_it_is_told_to(overlay: str, tmp_path: Path) -> None:
    made = render_with(overlay, "capture", tmp_path)
    assert problems_of(made) == []
    assert users_of_claim(made) == {"Deployment/tidegate", "CronJob/retrain-digits"}


def test_a_server_captures_into_no_claim_where_nobody_asked(tmp_path: Path) -> None:
    """What people send is kept by those who chose so."""
    made = render_base((), tmp_path)
    config = load_config(ours(variables(server_of(made), made)), {})
    assert config.capture_share == 0
    assert claims(made) == []


def test_kserve_captures_by_the_same_settings(tmp_path: Path) -> None:
    made = render_base(("kserve", "capture"), tmp_path)
    (told,) = (d["data"] for d in made if d["kind"] == "ConfigMap" and "TIDEGATE_CAPTURE_DIR" in d["data"])
    given = variables(server_of(made), made)
    assert {name: given[name] for name in told if "CAPTURE" in name} == {
        name: value for name, value in told.items() if "CAPTURE" in name
    }


def test_what_is_labelled_late_is_still_there_when_the_next_retraining_comes(tmp_path: Path) -> None:
    made = render_base(("training", "capture"), tmp_path)
    (schedule,) = (d["spec"]["schedule"].split() for d in made if d["kind"] == "CronJob")
    assert (schedule[2:4], schedule[4].isdecimal()) == (["*", "*"], True), "no longer once a week: see the retention"
    (settings,) = (d["data"] for d in made if d["kind"] == "ConfigMap" and "TIDEGATE_CAPTURE_DIR" in d["data"])
    assert float(settings["TIDEGATE_CAPTURE_RETENTION_HOURS"]) >= 2 * WEEK_HOURS


@pytest.mark.parametrize("components", [("capture",), ("gpu", "capture"), ("tensorrt", "capture")])
def test_the_page_says_how_its_images_are_built(components: tuple[str, ...], tmp_path: Path) -> None:
    shown = extras_built(PAGE.read_text(encoding="utf-8"))
    for pod in pods_of(render_base(components, tmp_path)):
        for container in pod.containers:
            if "tidegate-server" in container["image"]:
                assert "capture" in shown[container["image"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_page_shows_changes_what_servers_capture(overlay: str, tmp_path: Path) -> None:
    (shown,) = map(yaml.safe_load, SHOWN.findall(PAGE.read_text(encoding="utf-8")))

    def add(facts: Document) -> None:
        for key, wanted in shown.items():
            facts[key] = [*facts[key], *(one for one in wanted if one not in facts[key])]

    (tmp_path / "stock").mkdir()
    stock, made = render_with(overlay, "capture", tmp_path / "stock"), render_changed(overlay, tmp_path, add)
    assert problems_of(made) == []
    before, after = (variables(server_of(documents), documents) for documents in (stock, made))
    assert (before["TIDEGATE_CAPTURE_SHARE"], after["TIDEGATE_CAPTURE_SHARE"]) == ("0.01", "0.002")
    assert int(after["TIDEGATE_CAPTURE_BUDGET_BYTES"]) > int(before["TIDEGATE_CAPTURE_BUDGET_BYTES"])
    assert server_of(stock)["envFrom"] != server_of(made)["envFrom"], "no change that rolls the server"
