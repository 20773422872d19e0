"""The same store and the same promotion on MLflow's own database, and what MLflow itself can do with a package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.local_store import LocalStore
from registry.lock import LockRecord
from registry.mlflow_pyfunc import pyfunc_signature
from registry.mlflow_store import MlflowStore
from registry.package import ModelPackage
from registry.promotion import effective, history, promote, rollback
from registry.reference import ModelRef
from registry.store import open_store
from tasks.errors import BadInput, Conflict, GateFailed, InvalidPackage, NotFound, NotReady, Unsupported
from tests.handmade import Handmade, build_package, encoded
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.registry.conftest import reseal
from tests.registry.racers import Racer


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    """Versions 1 to 3 of colours, the last one worse. Promotions of several tests add up: each undoes its own."""
    root = tmp_path_factory.mktemp("mlflow")
    store = MlflowStore(f"sqlite:///{root / 'mlflow.db'}")
    for number in range(3):
        package = build_package(root / str(number), Handmade(shift=number / 10))
        if number == 2:
            package = reseal(package.folder, {"metrics": {"accuracy": 0.5}})
        store.publish(package.folder, tags={"tidegate.git_commit": "abc"})
    return store


def test_what_was_published_is_listed_tagged_and_fetched(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    assert mlflow_store.names() == ["colours"]
    infos = mlflow_store.versions("colours")
    assert [info.version for info in infos] == ["1", "2", "3"]
    assert len({info.digest for info in infos}) == 3
    assert mlflow_store.client.get_model_version("colours", "1").tags["tidegate.git_commit"] == "abc"
    assert mlflow_store.fetch(infos[1], tmp_path / "cache").folder == tmp_path / "cache" / infos[1].digest


def test_promotion_gates_history_and_rollback(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    def go(version: str, **options: str) -> str:
        ref = ModelRef(name="colours", version=version)
        return promote(mlflow_store, ref, cache=tmp_path / "cache", who="ann", **options).version

    assert [go("1", expected=""), go("2", expected="1")] == ["1", "2"]
    with pytest.raises(GateFailed, match="metric_drop"):
        go("3")
    with pytest.raises(Conflict, match="expected to be 1 and is 2"):
        go("3", expected="1")
    go("3", force_reason="é" * 6000)  # longer than a tag of MLflow
    assert history(mlflow_store, "colours")[-1].force_reason == "é" * 6000
    assert [rollback(mlflow_store, "colours", who="bob").version for _ in range(3)] == ["2", "1", ""]
    assert [event.previous for event in history(mlflow_store, "colours")] == [None, "1", "2", "3", "2", "1"]
    with pytest.raises(NotFound, match="no colours@champion"):
        mlflow_store.resolve(ModelRef.parse("colours"))
    assert mlflow_store.lock_records("colours") == {}


def test_two_processes_racing_never_both_win(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    known, current = len(mlflow_store.events("colours")), ""
    with (
        Racer(mlflow_store.uri, tmp_path / "cache", "ann") as ann,
        Racer(mlflow_store.uri, tmp_path / "cache", "bob") as bob,
    ):
        for rivals in (("1", "2"), ("2", "1")):
            ann.go(rivals[0], current)
            bob.go(rivals[1], current)
            outcomes = [ann.outcome(), bob.outcome()]
            won = [kind for kind, _ in outcomes if kind in rivals]
            assert len(won) == 1, outcomes
            assert "Conflict" in dict(outcomes), outcomes
            assert mlflow_store.resolve(ModelRef.parse("colours")).version == won[0]
            rollback(mlflow_store, "colours", who="ann")
    events = mlflow_store.events("colours")[known:]
    assert [event.action for event in events] == ["promote", "rollback"] * 2
    assert effective(events, "champion", "") == events
    assert mlflow_store.lock_records("colours") == {}


def test_a_claim_is_dropped_twice_without_complaint(mlflow_store: MlflowStore) -> None:
    mlflow_store.put_lock("colours", "key", LockRecord(owner="me", expires_at=1.0))
    mlflow_store.drop_lock("colours", "key")
    mlflow_store.drop_lock("colours", "key")
    assert mlflow_store.lock_records("colours") == {}


def test_a_damaged_event_is_named(mlflow_store: MlflowStore) -> None:
    key = "tidegate.event.9.0.1"
    mlflow_store.client.set_registered_model_tag("colours", key, "{}")
    try:
        with pytest.raises(NotReady, match=r"tag tidegate\.event\.9\.0\.1 is damaged"):
            mlflow_store.events("colours")
    finally:
        mlflow_store.client.delete_registered_model_tag("colours", key)


def test_a_version_that_others_registered_is_not_ours(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    mlflow_store.client.create_registered_model("foreign")
    mlflow_store.client.create_model_version("foreign", str(tmp_path), None)
    assert mlflow_store.names() == ["colours"]
    assert mlflow_store.versions("foreign") == []
    with pytest.raises(InvalidPackage, match="no package digest"):
        mlflow_store.fetch(mlflow_store.resolve(ModelRef.parse("foreign/1")), tmp_path / "cache")


@pytest.mark.parametrize("text", ["colours' OR name != '", "a/b/c", "colours@latest"])
def test_what_is_no_reference_never_reaches_mlflow(mlflow_store: MlflowStore, text: str) -> None:
    with pytest.raises(BadInput):
        mlflow_store.versions(text)


def test_a_server_that_is_not_there_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(NotReady, match="can not be"):
        MlflowStore("http://127.0.0.1:1").versions("colours")


def test_the_embedded_store_and_a_folder_agree(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    local = LocalStore(tmp_path / "store")
    for info in mlflow_store.versions("colours"):
        copied = local.publish(mlflow_store.fetch(info, tmp_path / "cache").folder)
        assert (copied.version, copied.digest) == (info.version, info.digest)
    assert open_store(mlflow_store.uri).versions("colours") == mlflow_store.versions("colours")


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (build_package, ["top_k: long"]),
        (
            build_detector,
            [
                "score_threshold: double",
                "iou_threshold: double",
                "max_detections: long",
                "suppression: string",
                "overlay: boolean",
            ],
        ),
        (build_segmenter, ["format: string", "overlay: boolean"]),
    ],
)
def test_mlflow_knows_every_option_of_a_task_and_drops_none(
    build: Callable[[Path], ModelPackage], options: list[str], tmp_path: Path
) -> None:
    params = pyfunc_signature(build(tmp_path / "package")).params
    assert [f"{param.name}: {param.dtype.name}" for param in params] == options


def test_mlflow_predicts_with_a_registered_package(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    """In a process of its own, because MLflow keeps the address of its store in global state."""
    (tmp_path / "picture.jpg").write_bytes(encoded(3))
    program = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/colours/1")
picture = open(sys.argv[2], "rb").read()
frame = pandas.DataFrame({"encoded_image": [picture, picture]})
print([len(answer["classes"]) for answer in model.predict(frame)])
print([len(answer["classes"]) for answer in model.predict(frame, params={"top_k": 1})])
print(model.predict(frame)[0]["classes"][0]["label"])
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, mlflow_store.uri, str(tmp_path / "picture.jpg")],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["[5, 5]", "[1, 1]"]
    assert done.stdout.splitlines()[2] in ("dark", "red", "green", "blue", "light")


def test_a_database_that_can_not_be_opened_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", lambda _: None)
    damaged = tmp_path / "mlflow.db"
    damaged.write_bytes(b"nothing that a database would begin with" * 100)
    with pytest.raises(NotReady, match=r"can not be reached: .*file is not a database$"):
        MlflowStore(f"sqlite:///{damaged}")


@pytest.mark.parametrize("module", ["boto3", "botocore.exceptions"])
def test_artifacts_of_s3_without_their_driver_say_what_to_install(mlflow_store: MlflowStore, module: str) -> None:
    missing = ModuleNotFoundError(f"No module named {module!r}", name=module)
    with (
        pytest.raises(Unsupported, match=r"for s3:// artifacts: pip install 'tidegate\[s3\]'"),
        mlflow_store.translated(),
    ):
        raise missing


def test_a_database_without_its_driver_says_what_to_install() -> None:
    with pytest.raises(Unsupported, match=r"driver is not installed .*tidegate\[postgres\]"):
        MlflowStore("postgresql+pg8000://mlflow:secret@db/mlflow")
