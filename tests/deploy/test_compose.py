"""compose.yaml: what Compose makes of it, and that it speaks to the code as it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.config_sources import PREFIX, load_config
from serving.shutdown import stop_limit_s
from tests.deploy.dockerfile import ROOT, TARGETS, read_stages
from tests.deploy.pod_checks import CREDENTIALS, IMAGE, SECRET_NAME, VERSION

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]


def test_compose_takes_it(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    variables = tmp_path / "variables"
    variables.write_text("DATABASE_PASSWORD=a\nGRAFANA_PASSWORD=b\n", encoding="utf-8")
    plugin = shutil.which("docker")
    has_plugin = (
        plugin and subprocess.run([plugin, "compose", "version"], capture_output=True, check=False).returncode == 0
    )
    command = [plugin, "compose"] if plugin and has_plugin else [require_tool("docker-compose")]
    done = subprocess.run(
        [*command, "--env-file", variables, "--file", ROOT / "compose.yaml", "config"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) >= {"server", "mlflow", "postgres", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_pinned_bounded_and_without_rights(name: str) -> None:
    service = SERVICES[name]
    found = IMAGE.fullmatch(service["image"])
    assert found is not None
    assert found["tag"] != "latest"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    # PostgreSQL's image starts as root and becomes its own user.
    assert service.get("cap_drop") == ["ALL"] or name == "postgres"


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_images_of_ours_are_built_here(name: str) -> None:
    target = SERVICES[name]["build"]["target"]
    assert target in TARGETS
    assert SERVICES[name]["image"] == f"tidegate-{target}:{VERSION}"


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_referred_to(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        assert not CREDENTIALS.search(value), variable
        if SECRET_NAME.search(variable):
            assert value.startswith("${"), variable


def test_the_server_takes_its_settings_and_finds_their_files() -> None:
    service = SERVICES["server"]
    _, stages = read_stages()
    told = dict(pair.split("=", 1) for env in stages["server"].all("ENV") for pair in env.split())
    config = load_config({k: v for k, v in (told | service["environment"]).items() if k.startswith(PREFIX)}, {})
    files = {Path(path).name for path in (config.api_keys, config.tls_certificate, config.tls_key)}
    assert files == set(service["secrets"]) == set(COMPOSE["secrets"])
    assert {config.http_port, config.grpc_port} == {int(port.split(":")[1]) for port in service["ports"]}
    assert config.host == "0.0.0.0"
    assert any(volume.endswith(f":{config.cache_dir}") for volume in service["volumes"])
    assert int(service["stop_grace_period"].removesuffix("s")) > stop_limit_s(config.drain_timeout_s)


def test_prometheus_is_told_where_the_server_tells_its_metrics() -> None:
    targets = yaml.safe_load((ROOT / "deploy/compose/targets/servers.yml").read_text(encoding="utf-8"))
    config = load_config({}, {})
    assert [target for group in targets for target in group["targets"]] == [f"server:{config.metrics_port}"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_from_the_checkout_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


def test_who_waits_for_another_waits_for_its_health() -> None:
    _, stages = read_stages()
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            assert wait == {"condition": "service_healthy"}
            ours = SERVICES[other].get("build", {}).get("target")
            assert "healthcheck" in SERVICES[other] or stages[ours].all("HEALTHCHECK")
