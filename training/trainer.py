"""The training loop: Lightning, set up from a recipe."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader, DistributedSampler, Sampler

from training.checkpoint_io import SafetensorsCheckpointIO
from training.data.batches import Batch, BatchDataset
from training.ema import WeightAverage
from training.fit_progress import FitProgress
from training.history import EpochListener, EpochRecord, HistoryCallback
from training.learner import Learner
from training.narrow_strides import safe_strides
from training.networks.network import Trainable
from training.recipe import Recipe
from training.sharding import ShardedStrategy, check_shardable

LAST, BEST = "last.ckpt", "best.ckpt"


@dataclass(frozen=True)
class World:
    """The processes that train together (as torchrun describes them in the environment); alone by default."""

    rank: int
    size: int
    local_size: int

    @classmethod
    def from_environment(cls) -> World:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        return cls(int(os.environ.get("RANK", "0")), size, int(os.environ.get("LOCAL_WORLD_SIZE", str(size))))


class ShareSampler(Sampler[int]):
    """Each process evaluates every `size`-th example: no padding, so that no example counts twice."""

    def __init__(self, length: int, world: World) -> None:
        self._indices = range(world.rank, length, world.size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


class EpochSampler(DistributedSampler[int]):
    """Shuffles anew for every epoch, by the seed and the epoch's number alone, and tells the dataset of it."""

    def __init__(self, dataset: BatchDataset, world: World, seed: int) -> None:
        super().__init__(dataset, world.size, world.rank, shuffle=True, seed=seed)
        self._dataset = dataset

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self._dataset.begin_epoch(epoch)


def fit(
    learner: Learner,
    datasets: tuple[BatchDataset, BatchDataset],
    recipe: Recipe,
    folder: Path,
    on_epoch: EpochListener,
    resume_from: Path | None,
) -> list[EpochRecord]:
    """Trains on the first dataset, validates on the second, and leaves `learner` with its best weights, on the device
    where it learnt them: it is evaluated there.

    Leaves `folder`/last.ckpt after every epoch for `resume_from`. Returns one record for each epoch, those before a
    resumption included.
    """
    world = World.from_environment()
    whole = copy_to_shard(learner, recipe, world)
    history = HistoryCallback(on_epoch)
    callbacks = build_callbacks(recipe, folder, learner, history)
    with quiet_lightning(), safe_strides(learner):
        trainer = build_trainer(recipe, folder, world, callbacks)
        trainer.fit(
            learner,
            training_loader(datasets[0], recipe, world),
            validation_loader(datasets[1], learner.validation_batch_factor * recipe.schedule.batch_size, world),
            ckpt_path=resume_from,
            weights_only=True,
        )
    if whole is not None:
        learner.network = whole
    best = SafetensorsCheckpointIO().load_checkpoint(folder / BEST)
    learner.load_state_dict(best["state_dict"])
    # Lightning moves everything to the CPU at the end.
    learner.network.to(trainer.strategy.root_device)
    return history.records


def tune(learner: Learner, dataset: BatchDataset, recipe: Recipe, callbacks: Sequence[pl.Callback]) -> None:
    """A network that was trained learns on, on one device: no validation, no checkpoints, its last weights stay."""
    # Lightning leaves modes as they are, and who was trained waits in evaluation mode: without statistics of batches.
    learner.network.train()
    with quiet_lightning(), safe_strides(learner), TemporaryDirectory() as folder:
        progress = [FitProgress(learner.monitored), *callbacks]
        trainer = build_trainer(recipe, Path(folder), World(0, 1, 1), progress)
        trainer.fit(learner, training_loader(dataset, recipe, World(0, 1, 1)))


def copy_to_shard(learner: Learner, recipe: Recipe, world: World) -> Trainable | None:
    """A copy of the network that stays whole, where the network itself will be cut into shards: in the end it takes the
    best weights. Raises InvalidRecipe where the network cannot be cut."""
    if recipe.distribution == "replicate":
        return None
    check_shardable(learner.network)
    return copy.deepcopy(learner.network) if world.size > 1 else None


def build_callbacks(recipe: Recipe, folder: Path, learner: Learner, history: HistoryCallback) -> list[pl.Callback]:
    """What looks on while a network learns."""
    monitored, direction = learner.monitored, learner.direction
    callbacks: list[pl.Callback] = [
        FitProgress(monitored),
        history,
        ModelCheckpoint(folder, Path(BEST).stem, monitor=monitored, mode=direction, enable_version_counter=False),
        ModelCheckpoint(folder, Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    if recipe.ema_decay:
        callbacks.insert(0, WeightAverage(recipe.ema_decay))
    if recipe.schedule.patience_epochs:
        callbacks.append(EarlyStopping(monitored, mode=direction, patience=recipe.schedule.patience_epochs))
    return callbacks


def build_trainer(recipe: Recipe, folder: Path, world: World, callbacks: list[pl.Callback]) -> pl.Trainer:
    """A Lightning trainer that writes nothing but two checkpoints into `folder`."""
    schedule = recipe.schedule
    return pl.Trainer(
        max_epochs=schedule.epochs,
        limit_train_batches=schedule.batches_per_epoch or None,
        accumulate_grad_batches=schedule.accumulate_batches,
        gradient_clip_val=recipe.optimiser.gradient_clip_norm or None,
        precision=choose_precision(recipe),
        callbacks=callbacks,
        plugins=[SafetensorsCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **choose_strategy(recipe, world),
    )


def choose_strategy(recipe: Recipe, world: World) -> dict[str, Any]:
    """One device, or as many processes as torchrun started."""
    if world.size == 1:
        return {"devices": 1}
    devices = {"devices": world.local_size, "num_nodes": world.size // world.local_size}
    if recipe.distribution == "shard":
        return {"strategy": ShardedStrategy(world.size), **devices}
    # While the backbone is frozen its weights take no part in the loss, which data parallelism must be told.
    strategy = "ddp_find_unused_parameters_true" if recipe.schedule.frozen_epochs else "ddp"
    return {"strategy": strategy, **devices}


def choose_precision(recipe: Recipe) -> str:
    """What "auto" means on this machine."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def training_loader(dataset: BatchDataset, recipe: Recipe, world: World) -> DataLoader[Batch]:
    """In batches of the recipe's size."""
    sampler = EpochSampler(dataset, world, recipe.seed)
    # Batch normalisation needs more than one example: a short last batch is left out where there are others.
    drop_last = len(sampler) > recipe.schedule.batch_size
    return build_loader(dataset, sampler, recipe.schedule.batch_size, drop_last)


def validation_loader(dataset: BatchDataset, batch_size: int, world: World) -> DataLoader[Batch]:
    """Every example once, over all processes."""
    return build_loader(dataset, ShareSampler(len(dataset), world), batch_size, False)


def build_loader(dataset: BatchDataset, sampler: Sampler[int], batch_size: int, drop_last: bool) -> DataLoader[Batch]:
    """Datasets hand out whole batches themselves, so nothing is left to collate."""
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=dataset.num_workers,
        persistent_workers=dataset.num_workers > 0,
        collate_fn=keep_batch,
        drop_last=drop_last,
    )


def keep_batch(batch: Any) -> Any:
    """The dataset's batch as it is."""
    return batch


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leaves out hints about loggers and loader workers, which are as they are on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield
