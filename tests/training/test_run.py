from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from registry.lock import Locked
from tasks.errors import NotFound
from tests.forks import forked
from training import run as run_module
from training.checkpoint import load_checkpoint
from training.classification.learner import ClassificationLearner
from training.data.source import open_source
from training.networks.config import ModelConfig
from training.recipe import Recipe, ScheduleConfig
from training.registered import version_of_run
from training.run import TrainedModel, finished, is_interrupted, train
from training.run_notes import RESULT_FILE, STATE_FILE
from training.tracking import CHECKPOINT_ARTIFACT, RunTracker


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def store(workdir: Path) -> str:
    return f"sqlite:///{workdir}/mlflow.db"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_leaves_a_version_a_checkpoint_and_its_evidence(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    trained = train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir))
    client = MlflowClient(store(workdir))
    version = client.get_model_version("tiny-trained", str(trained.version))
    assert version.run_id == trained.run_id
    assert version.source == trained.folder.as_uri()
    assert list(here.iterdir()) == [], "nothing may appear in the working directory"

    run = client.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["schedule.epochs"] == "2"
    assert run.data.metrics["test_accuracy"] == pytest.approx(trained.metrics["test_accuracy"])
    assert [metric.step for metric in client.get_metric_history(trained.run_id, "val_loss")] == [1, 2]
    figures = trained.folder.parent / "figures"
    names = {"learning_curve", "confusion_matrix", "worst_mistakes"}
    assert {path.stem for path in figures.glob("*.png")} == names
    assert np.sum(json.loads((figures / "confusion_matrix.json").read_text())["counts"]) == 719

    checkpoint = load_checkpoint(trained.folder)
    assert checkpoint.recipe == tiny_recipe
    assert checkpoint.facts.dataset_digest == open_source(tiny_recipe.data).digest
    assert checkpoint.task_spec.temperature == pytest.approx(trained.metrics["temperature"])  # type: ignore[attr-defined]
    assert checkpoint.facts.metrics == trained.metrics

    left = [path for path in workdir.rglob("*") if path.suffix in (".ckpt", ".pkl", ".pt", ".pth", ".bin")]
    assert left == [], "weights are safetensors, and what only resuming needs is gone"


def test_the_next_run_is_the_next_version_and_the_same_numbers(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    first = train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir))
    second = train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir))
    assert second.version == first.version + 1
    for trained in (first, second):
        assert version_of_run(store(workdir), "tiny", trained.run_id) == trained.version
    with pytest.raises(NotFound, match=r"the training of this version of 'tiny' \(run gone\) is not in"):
        version_of_run(store(workdir), "tiny", "gone")
    weights = [load_checkpoint(trained.folder).module.state_dict() for trained in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resuming_what_never_ran_is_a_clear_error(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    recipe = msgspec.structs.replace(tiny_recipe, seed=99)
    with pytest.raises(NotFound, match="without --resume"):
        train(recipe, workdir=workdir, tracking_uri=store(workdir), resume=True)


def test_an_interrupted_run_resumes_to_the_very_same_weights(
    workdir: Path, here: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = msgspec.structs.replace(tiny_recipe, seed=5, schedule=ScheduleConfig(epochs=4, batch_size=32))
    whole = train(recipe, workdir=workdir, tracking_uri=store(workdir))
    original = ClassificationLearner.on_train_epoch_start

    def power_cut(self: ClassificationLearner) -> None:
        if self.current_epoch == 2:
            raise OSError("power cut")
        original(self)

    monkeypatch.setattr(ClassificationLearner, "on_train_epoch_start", power_cut)
    assert not is_interrupted(recipe, workdir)
    with pytest.raises(OSError, match="power cut"):
        train(recipe, workdir=workdir, tracking_uri=store(workdir), parent_run_id=whole.run_id)
    assert is_interrupted(recipe, workdir)
    assert finished(recipe, workdir) is None
    monkeypatch.undo()
    monkeypatch.chdir(here)
    resumed = train(recipe, workdir=workdir, tracking_uri=store(workdir), resume=True)
    assert not is_interrupted(recipe, workdir)
    assert same_weights(whole, resumed)
    assert finished(recipe, workdir) == resumed
    assert MlflowClient(store(workdir)).get_run(resumed.run_id).data.tags["mlflow.parentRunId"] == whole.run_id
    history = MlflowClient(store(workdir)).get_metric_history(resumed.run_id, "val_accuracy")
    assert sorted(metric.step for metric in history) == [1, 2, 3, 4, 4]


def test_one_process_at_a_time_trains_by_a_recipe(
    workdir: Path, here: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_again() -> None:
        for resume in (False, True):
            with pytest.raises(Locked, match="recipe tiny is being trained in another process"):
                train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir), resume=resume)

    def meet(*_: object) -> None:
        assert forked(begin_again) == [0]
        raise OSError("power cut")

    monkeypatch.setattr(run_module, "train_tracked", meet)
    with pytest.raises(OSError, match="power cut"):
        train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir))
    assert is_interrupted(tiny_recipe, workdir)


@pytest.mark.parametrize("file", [STATE_FILE, RESULT_FILE])
def test_a_note_that_was_half_written_is_none(
    workdir: Path, here: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    recipe = msgspec.structs.replace(tiny_recipe, seed=7, schedule=ScheduleConfig(epochs=1, batch_size=32))
    write = Path.write_bytes

    def power_cut(path: Path, content: bytes) -> None:
        write(path, content[:10] if file in path.name else content)
        if file in path.name:
            raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", power_cut)
        with pytest.raises(OSError, match="power cut"):
            train(recipe, workdir=workdir, tracking_uri=store(workdir))
    assert finished(recipe, workdir) is None
    assert is_interrupted(recipe, workdir) == (file == RESULT_FILE)
    goes_on = is_interrupted(recipe, workdir)
    trained = train(recipe, workdir=workdir, tracking_uri=store(workdir), resume=goes_on)
    assert finished(recipe, workdir) == trained


def test_one_that_is_killed_at_its_very_end_is_not_trained_again(
    workdir: Path, here: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = msgspec.structs.replace(tiny_recipe, seed=8, schedule=ScheduleConfig(epochs=1, batch_size=32))

    def power_cut(*_: object, **__: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(RunTracker, "end", power_cut)
        with pytest.raises(OSError, match="power cut"):
            train(recipe, workdir=workdir, tracking_uri=store(workdir))
    assert is_interrupted(recipe, workdir)
    registered = MlflowClient(store(workdir)).search_model_versions("name = 'tiny-trained'")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "clear_away", power_cut)
        with pytest.raises(OSError, match="power cut"):
            train(recipe, workdir=workdir, tracking_uri=store(workdir), resume=True)
    ended = finished(recipe, workdir)
    assert ended is not None
    assert ended.version == max(int(each.version) for each in registered)


def test_a_run_is_registered_once(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    trained = train(tiny_recipe, workdir=workdir, tracking_uri=store(workdir))
    tracker = RunTracker.reopen(store(workdir), trained.run_id)
    assert tracker.register("tiny-trained", CHECKPOINT_ARTIFACT, {}) == trained.version
    assert tracker.register("elsewhere-trained", CHECKPOINT_ARTIFACT, {}) == 1


def test_a_frozen_backbone_does_not_move_and_then_does(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    pretrained = workdir / "pretrained"
    save_pretrained(pretrained)
    network = ModelConfig(architecture="auto_backbone", options={"pretrained": str(pretrained)})
    recipe = msgspec.structs.replace(tiny_recipe, name="transfer", model=network, ema_decay=0.0)
    schedule = ScheduleConfig(epochs=2, frozen_epochs=1, batch_size=32)
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(ClassificationLearner):  # type: ignore[misc]
        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            seen.append({name: w.clone() for name, w in self.network.backbone.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.classification.kind.ClassificationLearner", Watched)
        recipe = msgspec.structs.replace(recipe, schedule=schedule)
        trained = train(recipe, workdir=workdir, tracking_uri=store(workdir))
    from safetensors.torch import load_file

    before = load_file(pretrained / "model.safetensors")
    after_one = {name.removeprefix("network."): weight for name, weight in seen[0].items()}
    assert all(torch.equal(before[name], after_one[name]) for name in before if name in after_one)
    assert any(not torch.equal(seen[0][name], seen[1][name]) for name in seen[0] if name.endswith("weight"))
    # The checkpoint stands by itself: the pretrained folder may be gone.
    for path in pretrained.iterdir():
        path.unlink()
    load_checkpoint(trained.folder)


def test_early_stopping_ends_a_run_that_no_longer_improves(workdir: Path, here: Path, tiny_recipe: Recipe) -> None:
    schedule = ScheduleConfig(epochs=50, batch_size=32, patience_epochs=1)
    optimiser = msgspec.structs.replace(tiny_recipe.optimiser, learning_rate=1e-12)
    recipe = msgspec.structs.replace(tiny_recipe, schedule=schedule, optimiser=optimiser, ema_decay=0.0)
    trained = train(recipe, workdir=workdir, tracking_uri=store(workdir))
    history = MlflowClient(store(workdir)).get_metric_history(trained.run_id, "train_loss")
    assert len(history) < 10


def save_pretrained(folder: Path) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import ResNetBackbone, ResNetConfig

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetBackbone(config).save_pretrained(folder)


def same_weights(left: TrainedModel, right: TrainedModel) -> bool:
    first, second = (load_checkpoint(trained.folder).module.state_dict() for trained in (left, right))
    return all(torch.equal(first[name], second[name]) for name in first)
