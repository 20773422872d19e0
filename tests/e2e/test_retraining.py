"""A model whose world changes: the alarm, the retraining, the promotion under load, and quiet again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from tests.e2e.workshop import (
    Traffic,
    Workshop,
    accuracy,
    drift_of,
    negatives,
    open_workshop,
    sample,
    sideways,
    wait_for,
    write_classes,
)
from training.data.config import DigitsConfig
from training.data.digits import open_digits

pytestmark = pytest.mark.e2e
WINDOW = 300


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("workshop"))


def test_a_world_that_changed_is_noticed_learnt_and_normal_from_then_on(workshop: Workshop) -> None:
    scans, changed = list(open_digits(DigitsConfig()).split("test")), negatives("test")
    write_classes(workshop.folder / "labelled", negatives("train", "validation"))
    before = workshop.version("champion")
    with workshop.serve() as server:
        plain = accuracy(server, scans)
        assert plain > 0.85
        assert drift_of(server)["status"] == "steady"
        unprepared = accuracy(server, changed)
        assert unprepared < plain - 0.3
        wait_for(lambda: drift_of(server)["status"] == "drift")
        assert sample(server, "tidegate_drift_detected") == {before: 1.0}

        with Traffic(server, changed) as traffic:
            said = workshop.run("retrain", "digits", "--data", "labelled", "--new-is-normal", "--promote")
            after = workshop.version("champion")
            assert after != before
            assert f"digits/{after} is the champion" in said
            wait_for(lambda: traffic.answered[after] > WINDOW)
        assert traffic.statuses == {"200": traffic.num_sent}, "every request was answered, and none was lost"
        assert traffic.answered == {version: traffic.answered[version] for version in (before, after)}

        assert accuracy(server, changed) > unprepared + 0.3
        wait_for(lambda: drift_of(server)["num_images"] == WINDOW)
        verdict = drift_of(server)
        assert verdict["status"] == "steady", verdict
        wait_for(lambda: sample(server, "tidegate_drift_detected") == {after: 0.0})
        assert accuracy(server, scans) > plain - 0.05, "what was learnt before is not forgotten"
    first = workshop.package(before).digest
    for variant in workshop.package(after).manifest.variants.values():
        evidence = variant.evidence
        known, added = (evidence.parts[first][part] for part in ("known", "added"))
        assert known.num_examples + added.num_examples == evidence.num_examples
        assert min(known.num_examples, added.num_examples) > 100
        assert known.rival > 0.85, "it is the champion's own data"
        assert known.variant > known.rival - 0.05
        assert added.variant > added.rival + 0.3, "the champion has never seen them"
    gates = workshop.events()[-1].gates
    assert {gate.name for gate in gates if gate.passed} >= {"known_data_drop", "added_data_drop"}

    known = {one.version for one in workshop.mlflow.search_model_versions("name = 'digits-trained'")}
    (workshop.folder / "empty").mkdir()
    for nothing in ("labelled", "empty"):
        said = workshop.run("retrain", "digits", "--data", nothing, "--promote")
        assert "nothing new to learn from, so digits stays as it is" in said
    assert workshop.version("champion") == after
    assert {one.version for one in workshop.mlflow.search_model_versions("name = 'digits-trained'")} == known


def test_what_a_server_captured_and_people_labelled_is_learnt(workshop: Workshop) -> None:
    sent = sideways("train")[:400]
    unlabelled = sideways("validation")[:50]
    captured = workshop.folder / "captured"
    with workshop.serve(CAPTURE_SHARE="1", CAPTURE_DIR=str(captured)) as server:
        with httpx.Client(base_url=f"http://{server.http}/v1/models/digits", trust_env=False, timeout=60) as client:
            for example in unlabelled:
                client.post("/classify", content=example.payload).raise_for_status()
            for example in sent:
                answer = client.post("/classify", content=example.payload).raise_for_status()
                told = {"request_id": answer.headers["x-request-id"], "label": str(example.target)}
                client.post("/feedback", json=told).raise_for_status()
        wait_for(lambda: sample(server, "tidegate_captured_total", "outcome").get("kept") == 850)
    said = workshop.run("retrain", "digits", "--data", "captured", "--set", "schedule.epochs=4")
    version = workshop.version("challenger")
    assert f"digits/{version} is the challenger; next: tidegate promote digits/{version}" in said

    (snapshot,) = workshop.folder.glob(".tidegate/retraining/data/digits-*")
    copied = {(path.read_bytes(), int(path.parent.name)) for path in snapshot.glob("*/*.png")}
    assert copied == {(example.payload, example.target) for example in sent}
    run = workshop.mlflow.get_run(workshop.mlflow.get_model_version("digits", version).run_id)
    assert str(snapshot) in run.data.params["data.parts"]
    manifest = workshop.package(version).manifest
    champion = workshop.package(workshop.version("champion"))
    ours, theirs = manifest.variants["fp32"].evidence, manifest.rivals[champion.digest]["fp32"]
    assert ours.num_examples == theirs.num_examples
    assert ours.metrics["accuracy"] > theirs.metrics["accuracy"], "the champion has never seen scans that lie on a side"


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob(".tidegate/training/*/last.ckpt"))


def runs_below(client: MlflowClient, run_id: str) -> set[str]:
    """Those that go on from a run."""
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return {run.info.run_id for run in found}


def test_a_retraining_that_is_killed_twice_goes_on_where_it_was(workshop: Workshop) -> None:
    client = workshop.mlflow
    champion = client.get_model_version_by_alias("digits", "champion")
    packages = {one.version for one in client.search_model_versions("name = 'digits'")}
    trained = {one.version for one in client.search_model_versions("name = 'digits-trained'")}

    known = runs_below(client, champion.run_id)
    longer = ("--set", "schedule.epochs=30")
    workshop.kill_when(lambda: checkpoints(workshop.folder), "retrain", "digits", *longer)
    assert {one.version for one in client.search_model_versions("name = 'digits-trained'")} == trained
    workshop.kill_when(
        lambda: list(workshop.folder.glob(".tidegate/build-*/package/*")), "retrain", "digits", "--resume"
    )
    assert {one.version for one in client.search_model_versions("name = 'digits'")} == packages
    (made,) = {one.version for one in client.search_model_versions("name = 'digits-trained'")} - trained
    said = workshop.run("retrain", "digits", "--resume")

    (candidate,) = {one.version for one in client.search_model_versions("name = 'digits'")} - packages
    assert f"digits/{candidate} is the challenger" in said
    assert workshop.version("challenger") == str(candidate)
    assert workshop.version("champion") == str(champion.version)
    run_id = client.get_model_version("digits-trained", made).run_id
    assert client.get_model_version("digits", candidate).run_id == run_id
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("FINISHED", champion.run_id)
    assert {one.step for one in client.get_metric_history(run_id, "train_loss")} == {*range(1, 31)}
    assert runs_below(client, champion.run_id) - known == {run_id}
    code, said = workshop.fail("retrain", "digits", "--resume")
    assert (code, "no interrupted retraining" in said) == (3, True)
