"""Drift that no replica can prove alone: two servers, a real Prometheus, and the rules as they are shipped, but
evaluated every second and said without delay. One model gets pictures as in its reference, the other a share that is
too dark."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from PIL import Image

from benchmarks.fleet_drift import Sides, chi2_limit, fleet_statistic
from deploy.prometheus.drift_alerts import drift_alert_group
from deploy.prometheus.drift_rules import DriftWindow, drift_group
from deploy.prometheus.rule import file_text
from deploy.prometheus.rule_files import DRIFT_WINDOWS
from monitoring.drift import jensen_shannon_distance, population_stability_index
from monitoring.profile import Profile, decode_profile
from registry.package import ModelPackage, seal_package
from tests.conftest import find_tool
from tests.e2e.conftest import RunningServer, start_server
from tests.e2e.prometheus_server import PrometheusServer, start_prometheus
from tests.handmade import Handmade, build_package, picture

pytestmark = pytest.mark.e2e
CLEAN, DIM = "clean", "dim"
WINDOW = DRIFT_WINDOWS[0].window
PICTURES = 200
"""To each replica, of each model: more than it needs to reach a verdict of its own."""
DIM_EVERY, DIM_LIGHT = 3, 0.9


@dataclass(frozen=True)
class Fleet:
    """After the pictures were answered and counted."""

    servers: tuple[RunningServer, ...]
    prometheus: PrometheusServer
    profile: Profile

    def values(self, name: str, model: str) -> dict[str, float]:
        """Signal → value of a recorded series."""
        found = self.prometheus.query(f'tidegate:{name}{{model="{model}"}}')
        return {sample.labels["signal"]: sample.value for sample in found}

    def bins(self, name: str, model: str, signal: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """A recorded series of bins, in the order of the profile [bins]."""
        found = self.prometheus.query(f'tidegate:{name}{{model="{model}", signal="{signal}"}}')
        counts = {sample.labels["bin"]: sample.value for sample in found}
        return np.array([counts[bin] for bin in self.profile.signals[signal].bin_names()])


def jpeg(number: int, light: float) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((picture(number) * light).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def two_models(folder: Path) -> list[ModelPackage]:
    """The same under two names."""
    made = build_package(folder / CLEAN, Handmade(name=CLEAN, num_profile=1200))
    shutil.copytree(made.folder, folder / DIM)
    return [made, seal_package(folder / DIM, msgspec.structs.replace(made.manifest, name=DIM))]


def send_pictures(servers: tuple[RunningServer, ...]) -> None:
    """Turn by turn to each replica, so that both see the same mixture."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=f"http://{one.http}", trust_env=False, timeout=60))
            for one in servers
        ]
        for turn in range(PICTURES):
            for number, client in enumerate(clients):
                seed = 5000 + 2 * turn + number
                for model, light in ((CLEAN, 1.0), (DIM, 1.0 if turn % DIM_EVERY else DIM_LIGHT)):
                    client.post(f"/v1/models/{model}/classify", content=jpeg(seed, light)).raise_for_status()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    program, folder = find_tool("prometheus"), tmp_path_factory.mktemp("fleet")
    rules = folder / "drift.yml"
    groups = [drift_group(DriftWindow(WINDOW, "1s")), drift_alert_group(hold="2s", interval="1s")]
    rules.write_text(file_text("The rules that are shipped, evaluated more often.", groups, "docs/runbooks"))
    packages = two_models(folder)
    unhurried = {"DRIFT_CPU_SHARE": "1", "DRIFT_QUEUE": "10000"}
    with ExitStack() as stack:
        servers = tuple(
            stack.enter_context(start_server(folder / name, packages, **unhurried)) for name in ("one", "two")
        )
        targets = [one.metrics for one in servers]
        prometheus = stack.enter_context(start_prometheus(folder / "prometheus", program, targets, [rules]))
        prometheus.wait_for(
            lambda: len(prometheus.query("count_over_time(tidegate_drift_window_pictures[10s]) >= 2")) == 4,
            "both servers have been scraped twice",
        )
        send_pictures(servers)
        prometheus.wait_for(
            lambda: (
                [one.value for one in prometheus.query("tidegate_drift_pictures_total{outcome='observed'}")]
                == [PICTURES] * 4
            ),
            "every picture is counted",
        )
        yield Fleet(servers, prometheus, decode_profile(packages[0].profile_bytes("fp32")))


def test_the_fleet_sees_what_no_replica_can_prove(fleet: Fleet) -> None:
    fired = fleet.prometheus.wait_for(fleet.prometheus.firing, "an alert fires")
    assert {alert["alertname"] for alert in fired} <= {"TidegateDrift", "TidegateStrongDrift"}
    assert {(alert["model"], alert["version"], alert["job"]) for alert in fired} == {(DIM, "1", "tidegate")}
    for server in fleet.servers:
        verdict = fleet.prometheus.wait_for(lambda one=server: whole_verdict(one), "a verdict on all pictures")
        assert verdict["status"] == "steady"


def whole_verdict(server: RunningServer) -> dict[str, object] | None:
    """What one replica makes of the dim pictures that it saw, once it has judged all of them."""
    verdict = httpx.get(f"http://{server.http}/v1/models/{DIM}/drift", trust_env=False, timeout=30).json()
    return verdict if verdict["num_images"] == PICTURES else None


def test_clean_traffic_is_judged_and_stays_below_every_limit(fleet: Fleet) -> None:
    surprises = fleet.values("signal_surprise", CLEAN)
    assert len(surprises) >= 8
    assert max(surprises.values()) < 1
    for measure in ("psi", "distance"):
        limits = fleet.values(f"signal_{measure}_limit", CLEAN)
        assert all(value < limits[signal] for signal, value in fleet.values(f"signal_{measure}", CLEAN).items())
    assert not [alert for alert in fleet.prometheus.firing() if alert["model"] == CLEAN]


def test_sums_over_replicas_count_every_picture_once(fleet: Fleet) -> None:
    for signal, count in fleet.values("signal_pictures", DIM).items():
        # Prometheus extrapolates to the moment of the evaluation, by less than the time between two scrapes.
        assert 2 * PICTURES * 0.999 <= count <= 2 * PICTURES * 1.1, signal


def test_promql_agrees_with_the_code(fleet: Fleet) -> None:
    surprises, distances, psis = (
        fleet.values(name, DIM) for name in ("signal_surprise", "signal_distance", "signal_psi")
    )
    limits = {signal: value for signal, value in fleet.values("signal_chi2_limit", DIM).items() if signal in surprises}
    for signal, surprise in surprises.items():
        reference, live = (fleet.bins(name, DIM, signal) for name in ("signal_reference", "signal_live"))
        assert tuple(reference) == fleet.profile.signals[signal].counts
        statistic, degrees = fleet_statistic(Sides(reference, live, reference, live))
        assert limits[signal] == pytest.approx(chi2_limit(degrees, 1e-5 / len(surprises)), rel=2e-3)
        assert surprise == pytest.approx(statistic / limits[signal], rel=0.05)
        if (reference + live > 0).all():
            # Thin bins are together in Prometheus.
            assert distances[signal] == pytest.approx(jensen_shannon_distance(reference, live), rel=0.2)
            assert psis[signal] == pytest.approx(population_stability_index(reference, live), rel=0.3)


def test_no_rule_complains(fleet: Fleet) -> None:
    assert fleet.prometheus.rule_problems() == []
