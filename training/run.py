"""A whole training run: data, fit, evaluation, calibration, and a registered version that export can take up."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import msgspec
import torch

from registry.sole_process import sole_process
from tasks.errors import NotFound
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.data.leakage import find_leakage
from training.data.source import SPLITS, DataSource, open_source
from training.history import EpochListener, EpochRecord
from training.kind import Evaluation, TrainingKind, open_kind
from training.learner import Learner
from training.lineage import git_commit, library_versions
from training.networks.build import settle_model
from training.recipe import NETWORK_KINDS, Recipe
from training.run_notes import RESULT_FILE, STATE_FILE, clear_away, write_whole
from training.tracking import CHECKPOINT_ARTIFACT, RunTracker
from training.trainer import LAST, World, fit
from training.warm_start import Beginner, check_origin, warm_start


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """run.json: which MLflow run the checkpoints beside it belong to."""

    run_id: str
    tracking_uri: str


class TrainedModel(msgspec.Struct, frozen=True):
    """What a training run leaves: a checkpoint folder, and the registered version that points to it."""

    folder: Path
    run_id: str
    version: int
    metrics: dict[str, float]


def train(
    recipe: Recipe, *, workdir: Path, tracking_uri: str, resume: bool = False, parent_run_id: str = ""
) -> TrainedModel:
    """Trains, evaluates, calibrates and registers one model as the next version of "<recipe.name>-trained".

    Everything is written under `workdir` and to the tracking store. `resume` continues the run of the same recipe
    that was interrupted last; raises NotFound where there is none. `parent_run_id`: the MLflow run that this one goes
    on from. Started by torchrun, all processes take part and all return the same result. Raises Locked where the same
    recipe is being trained here already.
    """
    if recipe.model.warm_start and not resume:
        check_origin(recipe.model.warm_start, tracking_uri)
    world = World.from_environment()
    folder = run_folder(workdir, recipe)
    if world.rank == 0:
        # Of two each would clear away what the other needs.
        with sole_process(folder.with_name(f"{folder.name}.lock"), f"recipe {recipe.name} is being trained"):
            tracker = reopen_run(folder) if resume else start_run(recipe, workdir, tracking_uri, folder, parent_run_id)
            try:
                trained = train_tracked(recipe, folder, tracker, last_checkpoint(folder, resume))
            except BaseException as error:
                tracker.end("FAILED" if isinstance(error, Exception) else "KILLED")
                raise
            tracker.end("FINISHED")
            write_whole(folder / RESULT_FILE, msgspec.json.encode(trained, enc_hook=str))
            # Only now: whoever was killed before goes on from what is there.
            clear_away(folder)
    else:
        join_fit(recipe, folder, last_checkpoint(folder, resume), tracking_uri)
    if world.size > 1:
        torch.distributed.barrier()
    return read_result(folder)


def read_result(folder: Path) -> TrainedModel:
    """What a run that came to its end wrote down."""
    return msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=TrainedModel, dec_hook=lambda kind, x: kind(x))


def join_fit(recipe: Recipe, folder: Path, resume_from: Path | None, tracking_uri: str) -> None:
    """A further process of a distributed training: it learns along and reports nothing."""
    source, kind = open_source(recipe.data), open_kind(recipe.task)
    learner = build_learner(recipe, kind, source, tracking_uri if resume_from is None else None)
    run_fit(recipe, kind, learner, source, folder, lambda record: None, resume_from)


def run_folder(workdir: Path, recipe: Recipe) -> Path:
    """Where a recipe's run keeps its state: the same recipe finds it again."""
    digest = hashlib.sha256(msgspec.json.encode(recipe, order="deterministic")).hexdigest()
    return workdir.absolute() / "training" / f"{recipe.name}-{digest[:12]}"


def is_interrupted(recipe: Recipe, workdir: Path) -> bool:
    """Whether a training of this recipe was begun here and did not end."""
    return (run_folder(workdir, recipe) / STATE_FILE).is_file()


def finished(recipe: Recipe, workdir: Path) -> TrainedModel | None:
    """What the last training of this recipe here has left; None where it did not end, or was forgotten."""
    folder = run_folder(workdir, recipe)
    return read_result(folder) if (folder / RESULT_FILE).is_file() else None


def forget(recipe: Recipe, workdir: Path) -> None:
    """The next one that asks is not told of trainings that ended before."""
    (run_folder(workdir, recipe) / RESULT_FILE).unlink(missing_ok=True)


def reopen_run(folder: Path) -> RunTracker:
    """The MLflow run of an interrupted training. Raises NotFound."""
    state_file = folder / STATE_FILE
    if not state_file.is_file():
        raise NotFound(f"no interrupted training of this recipe under {folder.parent}; start it without --resume")
    state = msgspec.json.decode(state_file.read_bytes(), type=RunState)
    return RunTracker.reopen(state.tracking_uri, state.run_id)


def start_run(recipe: Recipe, workdir: Path, tracking_uri: str, folder: Path, parent_run_id: str) -> RunTracker:
    """A new MLflow run, and an empty folder for its state."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tags = {"mlflow.runName": recipe.name, "tidegate.recipe": recipe.name, "mlflow.source.git.commit": git_commit()}
    if parent_run_id:
        tags["mlflow.parentRunId"] = parent_run_id
    tracker = RunTracker.start(tracking_uri, workdir, f"{recipe.name}-training", tags)
    tracker.log_params(flatten_params(msgspec.to_builtins(recipe)))
    write_whole(folder / STATE_FILE, msgspec.json.encode(RunState(run_id=tracker.run_id, tracking_uri=tracking_uri)))
    return tracker


def last_checkpoint(folder: Path, resume: bool) -> Path | None:
    """What a resumed run goes on from; none where it was killed before its first epoch ended."""
    path = folder / LAST
    return path if resume and path.is_file() else None


def train_tracked(recipe: Recipe, folder: Path, tracker: RunTracker, resume_from: Path | None) -> TrainedModel:
    """The run of the one process that reports and registers."""
    source, kind = open_source(recipe.data), open_kind(recipe.task)
    learner = build_learner(recipe, kind, source, tracker.tracking_uri if resume_from is None else None)

    def report(record: EpochRecord) -> None:
        tracker.log_metrics(epoch_figures(record, learner.monitored), record.epoch, round(time.time() * 1000))

    history = run_fit(recipe, kind, learner, source, folder, report, resume_from)
    evaluation = kind.evaluate(learner.network, source, recipe)
    metrics = {**evaluation.metrics, "fit_seconds": sum(record.seconds for record in history)}
    tracker.log_metrics(metrics, len(history), round(time.time() * 1000))
    write_evidence(evaluation, history, source, recipe, folder / "figures")
    tracker.log_folder(folder / "figures", "figures")
    facts = collect_facts(recipe, source, evaluation, metrics, tracker.run_id)
    save_checkpoint(folder / CHECKPOINT_ARTIFACT, learner.network, facts, kind.assets(source, recipe))
    tracker.log_folder(folder / CHECKPOINT_ARTIFACT, CHECKPOINT_ARTIFACT)
    version = register(tracker, recipe, facts, learner.monitored)
    return TrainedModel(tracker.local_folder(CHECKPOINT_ARTIFACT), tracker.run_id, version, metrics)


def build_learner(recipe: Recipe, kind: TrainingKind, source: DataSource, tracking_uri: str | None) -> Learner:
    """The network as it is before its first step. `tracking_uri`: where a warm start may be registered, None where
    the weights are about to be replaced anyway. The same seed gives the same weights in every process."""
    pl.seed_everything(recipe.seed, verbose=False)
    spec = kind.spec(source, recipe)
    network = kind.network(recipe.model, spec)
    if recipe.model.warm_start and tracking_uri is not None:
        origin = warm_start(Beginner(network, kind, source, recipe), tracking_uri)
        logging.getLogger(__name__).info("training starts from the weights of %s", origin)
    return kind.learner(network, recipe, spec)


def run_fit(
    recipe: Recipe,
    kind: TrainingKind,
    learner: Learner,
    source: DataSource,
    folder: Path,
    on_epoch: EpochListener,
    resume_from: Path | None,
) -> list[EpochRecord]:
    """The part that every process of a distributed training takes part in."""
    return fit(learner, kind.datasets(source, recipe), recipe, folder, on_epoch, resume_from)


def epoch_figures(record: EpochRecord, monitored: str) -> dict[str, float]:
    """What the tracking store is told of one epoch."""
    figures = {"train_loss": record.train_loss, "val_loss": record.val_loss, monitored: record.score}
    figures |= {"learning_rate": record.learning_rate, "seconds": record.seconds}
    return {name: value for name, value in figures.items() if value is not None}


def write_evidence(
    evaluation: Evaluation, history: Sequence[EpochRecord], source: DataSource, recipe: Recipe, folder: Path
) -> None:
    """The task's own figures, and what every run has: recipe, history, data."""
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.write_figures(history, folder)
    data = {"digest": source.digest, "leakage": find_leakage(source)}
    for name, fact in (("recipe", recipe), ("history", history), ("data", data)):
        (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(fact), indent=2))


def collect_facts(
    recipe: Recipe, source: DataSource, evaluation: Evaluation, metrics: dict[str, float], run_id: str
) -> CheckpointFacts:
    """Everything a checkpoint says about itself."""
    return CheckpointFacts(
        task=msgspec.to_builtins(evaluation.spec),
        recipe=msgspec.to_builtins(recipe),
        network=settle_model(recipe.model, NETWORK_KINDS[recipe.task]),
        dataset_digest=source.digest,
        split_sizes={name: len(source.split(name)) for name in SPLITS},
        git_commit=git_commit(),
        libraries=library_versions(),
        metrics=metrics,
        run_id=run_id,
    )


def register(tracker: RunTracker, recipe: Recipe, facts: CheckpointFacts, monitored: str) -> int:
    """The next version of "<name>-trained"."""
    tags = {
        "tidegate.kind": "checkpoint",
        "tidegate.task": recipe.task,
        "tidegate.dataset_digest": facts.dataset_digest,
        "tidegate.git_commit": facts.git_commit,
        f"tidegate.{monitored}": f"{facts.metrics[monitored]:.4f}",
    }
    return tracker.register(f"{recipe.name}-trained", CHECKPOINT_ARTIFACT, tags)


def flatten_params(tree: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested tables → dotted names, as `--set` takes them."""
    flat: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten_params(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
