"""What the page is told: models and evidence, counters, drift with its histograms, examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handmade import encoded
from tests.serving.console.conftest import ADMIN, Console, open_console
from tests.serving.host_server import publish, until
from tests.serving.remote_store import RemoteStore


async def classify(console: Console, count: int) -> None:
    for seed in range(count):
        answer = await console.http.post("/v1/models/colours/classify", content=encoded(seed))
        assert answer.status_code == 200


async def test_models_are_told_with_their_evidence(console: Console) -> None:
    told = await console.get("models")
    (model,) = told["models"]
    assert (model["key"], model["version"], model["state"]) == ("colours", "2", "READY")
    assert (model["kind"], model["verb"], model["num_labels"]) == ("classification", "classify", 5)
    (variant,) = model["variants"]
    assert variant["name"] == model["variant"] == "fp32"
    assert (variant["metric"], variant["value"], variant["trained"]) == ("accuracy", 0.95, 0.95)
    assert variant["passed"] is True
    assert [gate["name"] for gate in variant["gates"]] == ["decision_agreement"]
    assert variant["num_bytes"] > 0
    assert variant["latency_ms"] == {"1": 0.1}


async def test_models_are_not_sent_again_while_nothing_changes(console: Console) -> None:
    first = await console.http.get("/console/api/models")
    again = await console.http.get("/console/api/models", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


async def test_what_is_not_ready_is_there_with_its_reason(tmp_path: Path, versions: Path) -> None:
    store = RemoteStore(tmp_path / "store")
    publish(store, versions / "colours-0")
    (store.folder("colours", "1") / "fp32" / "model.onnx").write_bytes(b"damaged")
    async with open_console(store) as console:
        (model,) = (await console.get("models"))["models"]
    assert (model["key"], model["state"], model["variants"]) == ("colours", "UNAVAILABLE", [])
    assert model["reason"]
    assert str(tmp_path) not in model["reason"]


async def test_counters_grow_by_what_was_asked(console: Console) -> None:
    before = (await console.get("live"))["models"]["colours"]
    await classify(console, 3)
    await console.http.post("/v1/models/colours/classify", content=b"no picture")
    told = await console.get("live")
    after = told["models"]["colours"]
    assert after["answered"] - before["answered"] == 3
    assert after["failed"] - before["failed"] == 1
    assert sum(after["total"]["counts"]) - sum(before["total"]["counts"]) == 4
    assert len(after["total"]["counts"]) == len(told["stage_bounds_s"]) + 1
    assert after["batch"]["total"] - before["batch"]["total"] == 3
    assert (after["waiting"], after["in_flight"], after["generation"]) == (0, 0, None)


async def test_two_polls_come_from_the_same_instance_on_one_clock(console: Console) -> None:
    first, second = await console.get("live"), await console.get("live")
    assert first["instance"] == second["instance"]
    assert first["at"] < second["at"]


async def test_drift_is_collecting_until_enough_was_seen(console: Console) -> None:
    told = await console.get("models/colours/drift")
    assert (told["status"], told["min_images"]) == ("collecting", 4)
    assert all(signal["verdict"] is None for signal in told["signals"])
    assert (await console.get("drift"))["colours"]["status"] == "collecting"


async def test_drift_has_both_histograms_of_every_signal(console: Console) -> None:
    await classify(console, 6)
    model = console.server.host.get("colours")
    await until(lambda: model.drift.observed == 6)
    told = await console.get("models/colours/drift")
    assert told["num_images"] == 6
    for signal in told["signals"]:
        assert len(signal["bins"]) == len(signal["reference"]) == len(signal["live"])
        assert sum(signal["reference"]) == pytest.approx(1)
        assert sum(signal["live"]) == pytest.approx(1)
    surprises = [signal["verdict"]["adjusted_p_value"] for signal in told["signals"]]
    assert surprises == sorted(surprises)


async def test_looking_at_drift_does_not_make_it_be_judged_more_often(promoted: RemoteStore) -> None:
    async with open_console(promoted, check_interval_s=1000) as console:
        await classify(console, 5)
        model = console.server.host.get("colours")
        await until(lambda: model.drift.observed == 5)
        assert (await console.get("models/colours/drift"))["num_images"] == 5
        await classify(console, 2)
        await until(lambda: model.drift.observed == 7)
        assert (await console.get("models/colours/drift"))["num_images"] == 5
        assert (await console.get("drift"))["colours"]["num_images"] == 5


async def test_examples_are_the_golden_inputs(console: Console) -> None:
    package = console.server.host.get("colours").package
    assert package is not None
    (model,) = (await console.get("models"))["models"]
    assert model["num_examples"] == 4
    answer = await console.http.get("/console/api/models/colours/examples/3")
    assert answer.content == package.golden_inputs()[3]
    for missing in ("4", "-1", "x"):
        assert (await console.http.get(f"/console/api/models/colours/examples/{missing}")).status_code in (400, 404)


async def test_unknown_models_are_named(console: Console) -> None:
    for path in ("drift", "examples/0", "promotions"):
        answer = await console.http.get(f"/console/api/models/nobody/{path}")
        assert answer.status_code == 404
        assert "nobody" in answer.json()["error"]


async def test_everybody_may_look_where_keys_are_off(console: Console) -> None:
    assert await console.get("session") == {"name": "", "is_admin": False}
    assert (await console.get("session", headers=ADMIN))["is_admin"] is True
    assert (await console.get("session", headers={"Authorization": "Bearer wrong"}))["is_admin"] is False
